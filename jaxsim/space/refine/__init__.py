"""The best of all whole batches and chunks, between and at the points of an evaluated grid.

From the grid of a phase to designs listed one by one, and a bound that no other whole number
beats. Begin with `optimum.py`; `cells.py` has the bound, `along.py` the designs of a smooth
frontier.
"""
