"""Who decides how many instances serve, and how good are the decisions?

From what a controller can see to counts by role. Begin with `view.py`, which has the state that a
controller sees and its decision.
"""
