"""Rate matching: the ratio of pools, as counts of prefill and decode instances of chosen shapes.

From candidates (rate, GPUs, latency of each) to integer counts with a certificate of optimality.
`solve` chooses designs and counts; `prune` leaves what can be part of an optimum, `exact` solves a
pair, `budget` bounds GPUs and cost, `relaxed` is the search by gradient. Begin with `solve.py`.
"""
