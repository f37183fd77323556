"""How large must pools be, so that targets hold at a percentile of requests that arrive at random?

From a plan, a rate and a percentile to counts. `shapes.py` serves a plan's instances, `trials.py`
remembers which were tried, `search.py` counts them: begin there.
"""
