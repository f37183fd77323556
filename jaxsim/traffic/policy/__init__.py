"""Who decides how many instances serve, and how well is that decided?

From what a controller can see to counts by role. Begin with `view.py`: what is seen, what decided.
"""
