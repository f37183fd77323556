"""Derivatives at the winners of a sweep: of a program's outputs by all of its inputs.

Reverse mode over the operations of a `Program`, in NumPy: no compilation, and operations that have
equal inputs at several points are differentiated once. From a program and points to slopes. Begin
with `derivative.py`.
"""
