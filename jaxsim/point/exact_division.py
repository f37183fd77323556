"""How many whole times does one number go into another, exactly, whatever the device divides like?

A GPU divides in 32 bits by a reciprocal and a product, so that the quotient of two whole numbers
may miss a whole number by its last bit, and a ceiling of it by one. Here the quotient is rounded to
the nearest whole number n, and what decides is the product n·b, which is exact for whole numbers
below 2²⁴. Numerator and denominator are given apart for that reason.
"""

import jax
import jax.numpy as jnp

from jaxsim._scalar import Flag, Scalar

# Nothing in 32 bits, where it rounds to 1. In 64 bits, where derivatives are taken a hair beside a
# whole number, that hair is no more than the number.
_HAIR = 1.0 - 2.0**-26


def ceil_div(a: Scalar, b: Scalar) -> Scalar:
    """⌈a / b⌉ = n + (n·b < a) with n = round(a / b), with the gradient of a / b (straight through).

    `a` and `b` are positive. Exact where n·b and `a` are whole numbers below 2²⁴.
    """
    quotient, n = nearest_quotient(a, b)
    return _straight_through(jnp.where(n * b < a * _HAIR, n + 1.0, n), quotient)


def floor_div(a: Scalar, b: Scalar) -> Scalar:
    """⌊a / b⌋ = n − (n·b > a) with n = round(a / b), with the gradient of the step: none.

    `a` and `b` are positive. Exact where n·b and `a` are whole numbers below 2²⁴.
    """
    _, n = nearest_quotient(a, b)
    return jnp.where(n * b * _HAIR > a, n - 1.0, n)


def divides(part: Scalar, whole: Scalar) -> Flag:
    """Whether `part` goes into `whole` with no remainder: n·part = whole, n = round(whole / part).

    Exact where both are whole numbers below 2²⁴.
    """
    _, n = nearest_quotient(whole, part)
    return n * part == whole


def nearest_quotient(a: Scalar, b: Scalar) -> tuple[Scalar, Scalar]:
    """a / b as the device divides, and the whole number nearest to it."""
    quotient = jnp.asarray(a) / b
    return quotient, jax.lax.stop_gradient(jnp.round(quotient))


def _straight_through(value: Scalar, like: Scalar) -> Scalar:
    """The value to the last bit, with the gradient of `like`."""
    return jax.lax.stop_gradient(value) + (like - jax.lax.stop_gradient(like))
