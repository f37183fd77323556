"""What is a number, inside the model?"""

from typing import TypeAlias

from jax import Array

# One number: a Python number, a traced scalar, or, in a stacked record, one number per entry.
# Tests check both at run time, and there arrays may be NumPy's (`tests/typecheck.py`).
Scalar: TypeAlias = Array | float

# One yes or no, likewise.
Flag: TypeAlias = Array | bool
