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


def _norm_of_one_and(ratio: Scalar, power: Scalar) -> Scalar:
    """The `power`-norm of 1 and a ratio from 0 to 1."""
    # A ratio of 0 has no logarithm; at 1e-9 its power is below rounding for every power of 1 up.
    # By logarithms, since compilers vectorise them and not `**`: a sweep is six times faster.
    raised = jnp.exp(power * jnp.log(jnp.maximum(ratio, 1e-9)))
    return jnp.exp(jnp.log(1.0 + raised) / power)


def larger(a: Scalar, b: Scalar, power: Scalar) -> Scalar:
    """The `power`-norm of two: at least the larger, at most 2^(1/power) of it, at a tie."""
    high, ratio = _ratio(a, b)
    return high * _norm_of_one_and(ratio, power)


def smaller(a: Scalar, b: Scalar, power: Scalar) -> Scalar:
    """The product of two over their `power`-norm: at most the smaller."""
    _, ratio = _ratio(a, b)
    return jnp.minimum(a, b) / _norm_of_one_and(ratio, power)


def stretched(x: Scalar, knee: Scalar, power: Scalar) -> Scalar:
    """x where it is small against `knee`, growing as its `power` beyond: k((1 + x/k)^p - 1)/p."""
    # As exponentials, because 1 + x/k loses a small x/k in 32 bits.
    return knee * jnp.expm1(power * jnp.log1p(x / knee)) / power


def beyond(x: Scalar, knee: Scalar, power: Scalar) -> Scalar:
    """From 0 where x is small against `knee` to 1 where it is large: 1/(1 + (k/x)^p).

    With a knee of 0 it is 1.
    """
    both = x + knee
    far = x / jnp.where(both > 0.0, both, 1.0)
    # The logistic function of a difference of logarithms overflows nowhere. 0 has no logarithm.
    log_ratio = jnp.log(jnp.maximum(far, 1e-9)) - jnp.log(jnp.maximum(1.0 - far, 1e-9))
    return 1.0 / (1.0 + jnp.exp(-jnp.clip(power * log_ratio, -60.0, 60.0)))
