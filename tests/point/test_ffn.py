"""How much the busiest of several expert ranks has to do."""

from statistics import NormalDist

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsim.catalog.model import MoEFFN
from jaxsim.point.ranks import Ranks
from jaxsim.point.routing import active_experts, busiest_deviations, busiest_load
from jaxsim.space.program.interpret import at_many

EXPERTS, TOPK = 256, 8


def load(tokens, ranks, popularity=0.0):
    ffn = MoEFFN(
        experts=EXPERTS, topk=TOPK, intermediate=2048, shared_intermediate=0, matrices=3,
        bias_params=0.0,
    )  # fmt: skip
    one = jnp.asarray(1.0)
    widths = Ranks(width=ranks, tp=one, ep=jnp.asarray(ranks), pp=one, attention_dp=ranks,
                   expert_tp=one)  # fmt: skip
    touched = active_experts(float(EXPERTS), float(TOPK), tokens, popularity)
    return busiest_load(ffn, tokens, touched, widths, popularity)


@pytest.mark.parametrize("ranks", [1, 2, 3, 8, 72, 256])
def test_the_busiest_of_normal_loads(ranks):
    """Against the exact inverse of the normal distribution; one rank has nobody to compare with."""
    exact = NormalDist().inv_cdf(0.5 ** (1 / ranks))
    assert float(busiest_deviations(float(ranks))) == pytest.approx(exact, rel=4e-3, abs=1e-6)
    assert np.isfinite(jax.grad(busiest_deviations)(float(ranks)))


@pytest.mark.parametrize("ranks", [4, 8, 32, 64])
@pytest.mark.parametrize("tokens", [4, 16, 64, 256, 1024])
def test_the_load_is_that_of_tokens_that_draw_their_experts(tokens, ranks):
    """Against drawing: tokens take distinct experts at random, and the busiest is counted."""
    rng = np.random.default_rng(tokens * ranks)
    copies, distinct = [], []
    for _ in range(100):
        chosen = np.argsort(rng.random((tokens, EXPERTS)), axis=1)[:, :TOPK]
        place = chosen // (EXPERTS // ranks)
        copies.append(np.bincount(place.ravel(), minlength=ranks).max())
        touched = np.unique(chosen) // (EXPERTS // ranks)
        distinct.append(np.bincount(touched, minlength=ranks).max())
    result = [float(x) for x in load(float(tokens), float(ranks))]
    # A load of a few copies is whole and skewed: a normal one is up to 0.9 copies lower.
    np.testing.assert_allclose(result, [np.mean(copies), np.mean(distinct)], rtol=0.03, atol=0.9)
    assert result[0] > tokens * TOPK / ranks


@pytest.mark.parametrize(("tokens", "ranks"), [(16, 8), (64, 1), (64, 8), (512, 8), (512, 32)])
def test_unequal_popularity_is_that_of_tokens_that_draw_by_it(tokens, ranks):
    """Against drawing without replacement by weights that are gamma distributed, of variance 1."""
    rng = np.random.default_rng(tokens * ranks)
    copies, distinct = [], []
    for _ in range(100):
        weights = np.log(rng.gamma(1.0, 1.0, EXPERTS))
        drawn = weights + rng.gumbel(size=(tokens, EXPERTS))
        chosen = np.argsort(-drawn, axis=1)[:, :TOPK]
        place = chosen // (EXPERTS // ranks)
        copies.append(np.bincount(place.ravel(), minlength=ranks).max())
        distinct.append(np.bincount(np.unique(chosen) // (EXPERTS // ranks), minlength=ranks).max())
    result = [float(x) for x in load(float(tokens), float(ranks), 1.0)]
    np.testing.assert_allclose(result, [np.mean(copies), np.mean(distinct)], rtol=0.08, atol=1.0)
    plain = [float(x) for x in load(float(tokens), float(ranks))]
    assert result[1] <= plain[1]
    assert ranks == 1 or result[0] > plain[0]


@pytest.mark.parametrize("popularity", [0.0, 1.0])
def test_more_tokens_are_never_less_load(popularity):
    ranks = np.array([[1.0], [2.0], [8.0], [64.0], [256.0]])
    tokens = np.linspace(1.0, 3000.0, 4001)
    result = at_many(lambda own: load(own[0], own[1], popularity), (tokens, ranks))
    copies, distinct = map(np.asarray, result)
    assert copies.shape == distinct.shape == (5, 4001)
    assert (np.diff(copies) > 0).all()
    assert (np.diff(distinct) >= -1e-9).all()
    assert (distinct <= EXPERTS / ranks).all()
    assert (copies <= tokens * TOPK).all()


@pytest.mark.parametrize("popularity", [0.0, 1.0])
def test_more_ranks_are_never_more_load(popularity):
    """Until a rank has one expert; and the gradient is finite up to there."""
    tokens = np.array([[1.0], [50.0], [5000.0]])
    ranks = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0])

    def loads_and_slopes(own):
        slopes = jax.grad(lambda t, r: sum(load(t, r, popularity)), (0, 1))(own[0], own[1])
        return *load(own[0], own[1], popularity), *slopes

    copies, distinct, *slopes = map(np.asarray, at_many(loads_and_slopes, (tokens, ranks)))
    assert copies.shape == distinct.shape == (3, 9)
    assert (np.diff(copies) < 0).all()
    assert (np.diff(distinct) < 0).all()
    assert np.isfinite(slopes).all()


def test_one_rank_has_everything():
    expected = np.array([160.0, active_experts(256.0, 8.0, 20.0)])
    np.testing.assert_allclose(np.array(load(20.0, 1.0)), expected, rtol=1e-6)
