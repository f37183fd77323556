"""What Python sees: the public functions, on names or records, with labelled results.

`plan` has estimate, evaluate, frontier and plan; `search`, `sensitivity`, `serve` and `simulate`
one each; `request` and `keywords` say what they take; `dataset` makes labelled xarray. From names
to results. Begin with `plan.py`.
"""
