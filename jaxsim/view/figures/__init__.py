"""Results as pictures, by matplotlib.

`frontier` has the style that all share, `breakdown` and `tornado` one kind of picture each.
From results to figures. Begin with `frontier.py`.
"""
