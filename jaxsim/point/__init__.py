"""One design: scalar functions from a scenario to seconds, bytes and named rules.

`work` counts FLOP, bytes and messages and knows no hardware; `roofline` times kernels and
`collectives` times messages (all-reduce, all-to-all), and neither knows a model; `footprint` counts
bytes, and `feasible` rejects a design (memory, widths, context); `phases/` has prefill, decode and
co-located; `balance` has identities of two pools' rates. Begin with `forward.py`.
"""
