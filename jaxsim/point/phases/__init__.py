"""Prefill, decode and co-located serving of one design: from a scenario to named outputs.

`colocated` composes the other two. Begin with `decode.py`.
"""
