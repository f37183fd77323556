"""Malformed command lines and files by seed: is every one answered well?

`python -m benchmarks.fuzz` runs them. A case is a kind and a seed, and the same in every process:
`values` has what is put in, `lines` command lines, `documents` files and their readers, `judge`
runs one and names what is wrong with what it did, `worker` runs many.
"""
