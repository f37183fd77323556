"""What is a number, inside the model?"""

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from jax import Array

    Scalar: TypeAlias = Array | float
    Flag: TypeAlias = Array | bool
else:
    import numpy as np
    from jaxtyping import Array, Bool, Float, Int

    _Held = Array | np.ndarray | np.generic

    # One number: a Python number, a traced scalar, or, in a stacked record, one number per entry.
    Scalar: TypeAlias = Float[_Held, "..."] | Int[_Held, "..."] | float

    # One yes or no, likewise.
    Flag: TypeAlias = Bool[_Held, "..."] | bool
