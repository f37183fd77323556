"""What is a number, inside the model?"""

from typing import TypeAlias

from jaxtyping import Array, Float

# One number: a Python float, a traced scalar, or, in a stacked record, one number per entry.
Scalar: TypeAlias = Float[Array, "..."] | float
