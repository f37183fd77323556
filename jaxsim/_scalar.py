"""What is a number, inside the model?"""

from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
from jax import Array

# One number: a Python number, a traced scalar, or, in a stacked record, one number per entry.
# Tests check both at run time, and there arrays may be NumPy's (`tests/typecheck.py`).
Scalar: TypeAlias = Array | float

# Outside JAX: one number, or an array of them; of 32 bits or of 64.
if TYPE_CHECKING:
    Numbers: TypeAlias = np.ndarray | float
else:
    Numbers = np.ndarray | np.generic | float

# One yes or no, as a scalar is one number.
Flag: TypeAlias = Array | bool


def as_scalar(values: np.ndarray) -> Scalar:
    """NumPy's array as the numbers of a stacked record, one for each entry."""
    return cast(Scalar, values)
