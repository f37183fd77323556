"""What did users see, and what did it cost?

From a simulated run to quantiles, attainment, goodput, GPU-seconds. Begin with `outcome.py`.
"""
