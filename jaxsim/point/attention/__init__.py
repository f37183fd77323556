"""What one layer's attention asks of one GPU: from a kind of attention to kernels.

`base` has what all kinds share and the three functions of each (projections, decoded tokens,
tokens of a prompt), the other files have the kinds, and `kinds` is where to import from. Begin with
`grouped.py`.
"""
