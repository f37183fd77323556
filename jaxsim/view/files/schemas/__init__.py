"""JSON Schemas of the files and outputs that scripts read: one msgspec type a table.

`plan` and `sensitivity` have those of both verbs, `measured` those of validations and the study,
`served` those of estimates, loads, searches and simulations, `catalogue` those of models and
hardware; `names` lists all of them. From a name to a schema. Begin with `names.py`.
"""
