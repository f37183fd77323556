"""Rate matching: how many prefill instances of which shape feed how many decode instances.

From candidates (rate, GPUs, latency of each) to integer counts with a certificate of optimality.
`prune` leaves what can be part of an optimum, `exact` solves a pair, `budget` bounds GPUs and cost,
`relaxed` is the search by gradient. Begin with `solve.py`.
"""
