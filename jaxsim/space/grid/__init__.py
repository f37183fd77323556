"""Evaluation of a program over a grid of axes, in memory or streamed.

`split` keeps every output on the axes it depends on; `blocks` cuts a grid that is too large for
memory; `best`, `extremes` and `frontier` reduce blocks as they come; `executables` keeps compiled
blocks. From a program and axes to arrays. Begin with `split.py`.
"""
