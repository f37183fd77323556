"""Many designs: evaluation of whole design spaces, rate matching, derivatives.

From `axes` (which designs) over `designs` (every output of every design) to `plan` (the best
deployment under targets) and `search` (the best of spaces too large to keep). Rooms, each importing
only from those before it: `program`, `grid`, `match`, `refine`, `gradient`, `deploy`,
`sensitivity`. Begin with `plan.py`.
"""
