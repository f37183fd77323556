"""Results as plain text: pages, tables, sentences, units.

`sentences` has the sentences (recommendation, gain, certificate) and `units` the numbers, `layout`
aligns them; then a file for each thing shown. From results to lines. Begin with `plan.py`.
"""
