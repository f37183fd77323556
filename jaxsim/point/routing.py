"""How many experts do tokens touch, and how much has the busiest of their ranks to do?"""

import math

import jax.numpy as jnp

from jaxsim._scalar import Scalar
from jaxsim.catalog.model import MoEFFN
from jaxsim.point.ranks import Ranks

# Guards roots and quotients of what may be 0, where their gradient is infinite.
_TINY = 1e-12
# Popularity less unequal than this counts as equal.
_LEAST_VARIANCE = 1e-4


def active_experts(
    experts: Scalar, topk: Scalar, tokens: Scalar, popularity: Scalar = 0.0
) -> Scalar:
    r"""Expected distinct experts that `tokens` touch.

    Under uniform routing a token misses an expert with probability 1 - k/E, and T tokens do with
    $(1 - k/E)^T = e^{-Ty}$. An expert whose popularity is g times the mean stays untouched with
    $e^{-Tyg}$. With g gamma distributed, of mean 1 and variance v, and y such that one token
    touches k,

    $$ E \left(1 - \left(1 + T\left((1 - k/E)^{-v} - 1\right)\right)^{-1/v}\right)
       \to E \left(1 - (1 - k/E)^T\right), \quad v \to 0 $$
    """
    miss = jnp.log1p(-jnp.minimum(topk / experts, 0.999))
    variance = jnp.maximum(popularity, _LEAST_VARIANCE)
    unequal = -jnp.log1p(tokens * jnp.expm1(-variance * miss)) / variance
    left = jnp.where(jnp.asarray(popularity) > _LEAST_VARIANCE, unequal, tokens * miss)
    return -experts * jnp.expm1(left)


def busiest_deviations(ranks: Scalar) -> Scalar:
    r"""How many standard deviations the busiest of `ranks` lies above their mean, as a median.

    The largest of R independent normal loads has the median $\Phi^{-1}(2^{-1/R})$: 0 for one
    rank, growing like $\sqrt{2 \ln R}$. With $x = 2 \cdot 2^{-1/R} - 1$, $\Phi^{-1} = \sqrt 2\,
    \mathrm{erf}^{-1}(x)$, and Winitzki's inverse ("A handy approximation for the error function
    and its inverse", 2008), within 0.2 %:

    $$ \mathrm{erf}^{-1}(x)^2 = \sqrt{h^2 - \ln(1 - x^2) / a} - h, \qquad
       h = \frac{2}{\pi a} + \frac{\ln(1 - x^2)}{2}, \quad
       a = \frac{8 (\pi - 3)}{3 \pi (4 - \pi)} $$
    """
    a = 8.0 * (math.pi - 3.0) / (3.0 * math.pi * (4.0 - math.pi))
    log_below = -math.log(2.0) / jnp.maximum(ranks, 1.0)
    above = -jnp.expm1(log_below)  # of a rank: the chance to be the busiest
    # 1 - x² = 4 p (1 - p), 1 where ranks = 1
    log_both = jnp.minimum(math.log(4.0) + log_below + jnp.log(above), 0.0)
    half = 2.0 / (math.pi * a) + 0.5 * log_both
    square = 2.0 * (jnp.sqrt(half * half - log_both / a) - half)
    return jnp.where(square > _TINY, jnp.sqrt(jnp.maximum(square, _TINY)), 0.0)


def busiest_load(
    ffn: MoEFFN, tokens: Scalar, touched: Scalar, ranks: Ranks, popularity: Scalar = 0.0
) -> tuple[Scalar, Scalar]:
    r"""Token copies and distinct experts of the busiest of `ep` ranks.

    A token has k of E experts, e = E/R of which are on a rank: hypergeometric, with mean k/R. Of
    T tokens, and of e experts that each are touched with probability q,

    $$ c = \frac{T k}{R}
       + z \sqrt{\left(1 - \frac1R\right) \left(\frac{T k}{R} \frac{E - k}{E - 1}
       + \left(\frac{T k}{R}\right)^2 \frac{v}{e}\right)}, \qquad
       d = \min\left(e,\; e q + z \sqrt{e q (1 - q) (1 - \tfrac1R)}\right) $$

    with z the deviations of the busiest, and v the variance of the popularity of an expert, of
    which a rank has the mean over its own. c is at most T · min(k, e). Both grow with T: where the
    second root falls again, d has reached e.
    """
    experts, topk = jnp.asarray(ffn.experts), jnp.asarray(ffn.topk)
    deviations = busiest_deviations(ranks.ep)
    others = 1.0 - 1.0 / ranks.ep
    held = experts / ranks.ep
    mean = tokens * topk / ranks.ep
    others_frac = jnp.maximum(experts - topk, 0.0) / jnp.maximum(experts - 1.0, 1.0)
    drawn = mean * others * (others_frac + mean * popularity / held)
    copies = mean + deviations * jnp.sqrt(jnp.maximum(drawn, _TINY))
    part = touched / experts
    spread = held * part * (1.0 - part) * others
    distinct = held * part + deviations * jnp.sqrt(jnp.maximum(spread, _TINY))
    return jnp.minimum(copies, tokens * jnp.minimum(topk, held)), jnp.minimum(distinct, held)
