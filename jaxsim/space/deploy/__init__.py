"""From a request (workload, targets, budget) to the best deployment of each kind.

`request` says what is wanted, `candidates` gathers designs of each phase, `select` matches and
chooses, `result` records what was chosen, `curves` the frontiers around it, `uncertainty` how sure
it is, `diagnose` why nothing fits. Begin with `select.py`.
"""
