"""What Python sees: the public functions, on names or records, with labelled results.

`plan` has estimate, evaluate, frontier and plan; `search`, `sensitivity` and `serve` one each;
`dataset` turns arrays into labelled xarray. From names to results. Begin with `plan.py`.
"""
