"""One design: scalar functions from a scenario to seconds, bytes and named rules.

`work` counts FLOP, bytes and messages and knows no hardware; `roofline` and `collectives` turn work
into seconds and know no model; `memory` and `rules` say whether a design is possible; `phases/` has
prefill, decode and co-located; `matching` joins the rates of two pools. Begin with `forward.py`.
"""
