"""How near are simulated runs to measured ones, percentile by percentile?

From a table of runs at arrival rates, or a log of requests, to errors by family. Begin with
`served.py`; `table.py` and `log.py` read, `scores.py` sums up.
"""
