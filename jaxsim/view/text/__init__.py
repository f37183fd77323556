"""Results as plain text: pages, tables, sentences, units.

`units` and `words` say numbers and sentences, `layout` aligns them; then a file for what is shown.
From results to lines. Begin with `plan.py`.
"""
