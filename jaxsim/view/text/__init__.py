"""Results as plain text: pages, tables, sentences, units.

`gain` says what disaggregation gains over co-location, `sentences` the rest (recommendation,
certificate), `units` has the numbers, `layout` aligns them; then a file for each thing shown. From
results to lines. Begin with `plan.py`.
"""
