"""The search over lattices: relaxed, rounded, refined, and closed by looking at everything."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsim.catalog.errors import InputError
from jaxsim.space.match.lattice import (
    Explored,
    LatticeMatch,
    LatticeResult,
    certify,
    matcher,
    refine,
    search,
)
from jaxsim.space.match.pairs import solve_every_pair
from jaxsim.space.match.records import Match, NoMatch, Pool
from jaxsim.space.match.relaxed import (
    Estimate,
    Lattice,
    Targets,
    random_starts,
    relax,
    relaxed_loss,
)
from jaxsim.space.match.solve import match
from tests.narrow import of, some
from tests.space.match.oracles import matched, pool, pool_of

OSL = 257


def prefill_phase(x, speed):
    """A toy: time has a fixed part, work divides over GPUs with a loss, memory holds 64 a GPU."""
    width, batch = jnp.exp2(x[0]), jnp.exp2(x[1])
    seconds = 0.01 * width**0.3 + 0.05 * batch / (speed * width**0.9)
    excess = jnp.log(batch / (16.0 * width))
    return Estimate(batch / seconds, width, seconds, excess, excess <= 0)


def decode_phase(x, speed):
    """A toy: a step reads weights and the cache of the batch."""
    width, batch = jnp.exp2(x[0]), jnp.exp2(x[1])
    seconds = 0.004 + 0.02 / width + 2e-4 * batch / width + 5e-4 * width**0.5
    excess = jnp.log(batch / (64.0 * width))
    return Estimate(speed * batch / (seconds * 256), width, seconds, excess, excess <= 0)


PHASES = (prefill_phase, decode_phase)
LATTICES = (
    Lattice((2.0 ** np.arange(6), np.arange(1.0, 129.0))),
    Lattice((2.0 ** np.arange(6), np.arange(1.0, 513.0))),
)


def explored(speed) -> tuple[Explored, Explored]:
    speed = jnp.asarray(speed)
    return Explored(PHASES[0], LATTICES[0], speed), Explored(PHASES[1], LATTICES[1], speed)


def value(result: LatticeMatch | LatticeResult) -> float:
    """Output tokens/s per GPU of the match, which there must be."""
    return of(Match, result.match).value


@pytest.mark.parametrize("seed", range(3))
def test_the_search_closes_on_the_optimum_wherever_it_starts(seed):
    rng = np.random.default_rng(seed)
    speed, gpus = float(rng.uniform(0.3, 3)), float(rng.integers(8, 200))
    targets: dict[str, Any] = {
        "ftl_s": float(rng.uniform(0.05, 0.5)),
        "ttl_s": float(rng.uniform(0.01, 0.03)),
    }
    solve = matcher(OSL, **targets, max_gpus=gpus)
    starts = random_starts(*LATTICES, 4, rng)
    best, loss = relax(
        *PHASES, LATTICES, starts, Targets(**targets, max_gpus=gpus), jnp.asarray(speed)
    )
    assert np.all(np.isfinite(loss))
    everything = explored(speed)
    optimum = certify(everything, solve)
    assert everything[0].evaluations == LATTICES[0].size
    assert of(Match, optimum.match).certificate.gap == 0.0
    for points in (best, starts, np.zeros_like(starts)):
        seen = explored(speed)
        result = refine(seen, points, solve)
        assert value(result) <= value(optimum) * (1 + 1e-12)
        assert sum(e.evaluations for e in seen) < 2500
        closed = certify(seen, solve)
        assert value(closed) == value(optimum)
        assert (closed.prefill_index, closed.decode_index) == (
            optimum.prefill_index,
            optimum.decode_index,
        )
    relaxed = refine(explored(speed), best, solve)
    assert value(relaxed) >= 0.9 * value(optimum)


def test_descent_lowers_the_loss_and_stays_in_the_box():
    targets, speed = Targets(0.2, 0.02, 64.0), jnp.asarray(1.0)
    starts = random_starts(*LATTICES, 4, np.random.default_rng(0))
    best, loss = relax(*PHASES, LATTICES, starts, targets, speed)

    @jax.jit
    def losses(points):
        return jax.vmap(lambda z: relaxed_loss(z, 2, *PHASES, speed, targets))(points)

    first = np.asarray(losses(jnp.asarray(starts)))
    assert np.all(loss <= first + 1e-6)
    assert loss.min() < first.min() - 0.1
    for part, lattice in ((best[:, :2], LATTICES[0]), (best[:, 2:4], LATTICES[1])):
        low, high = lattice.box()
        assert np.all((part >= low - 1e-6) & (part <= high + 1e-6))


def test_the_slope_of_the_loss_is_its_difference_quotient():
    targets, speed, step = Targets(0.2, 0.02, 64.0), jnp.asarray(1.0), 1e-5
    start = jnp.asarray(random_starts(*LATTICES, 1, np.random.default_rng(0))[0])

    @jax.jit
    def both(z):
        def loss(z):
            return relaxed_loss(z, 2, *PHASES, speed, targets)

        moved = jax.vmap(loss)(z[None] + step * jnp.concatenate([jnp.eye(5), -jnp.eye(5)]))
        return jax.grad(loss)(z), (moved[:5] - moved[5:]) / (2 * step)

    np.testing.assert_allclose(*both(start), atol=1e-4)


def test_rounding_keeps_both_neighbours_on_every_axis():
    lattice = Lattice((np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 9.0])))
    result = lattice.around(np.array([[0.5, np.log2(5.0)]]))
    values = 2 ** lattice.log2(result[0])
    assert {tuple(np.round(v).astype(int)) for v in values} == {(1, 3), (1, 9), (2, 3), (2, 9)}
    with pytest.raises(InputError, match="ascending"):
        Lattice((np.array([2.0, 1.0]),))


def test_each_design_is_evaluated_once():
    seen = explored(1.0)[0]
    seen.visit(np.array([5, 3, 5]))
    seen.visit(np.array([3, 4]))
    assert seen.index.tolist() == [3, 4, 5]
    alone = [prefill_phase(jnp.asarray(LATTICES[0].log2(np.array(k))), 1.0) for k in (3, 4, 5)]
    np.testing.assert_allclose(
        seen.pool().latency_s, np.stack([a.latency_s for a in alone]), rtol=1e-6
    )


def test_a_search_says_whether_it_has_closed():
    targets: dict[str, Any] = {"ftl_s": 0.2, "ttl_s": 0.02, "max_gpus": 64.0}
    options: dict[str, Any] = {**targets, "parameters": jnp.asarray(1.0), "starts": 4}
    proved = search(*PHASES, LATTICES, OSL, **options)
    assert of(Match, proved.match).certificate.gap == 0.0
    assert proved.evaluations == LATTICES[0].size + LATTICES[1].size
    quick = search(*PHASES, LATTICES, OSL, **options, prove=False)
    certificate = of(Match, quick.match).certificate
    assert (certificate.upper_bound, certificate.gap) == (np.inf, 1.0)
    assert quick.found_gap is None
    assert quick.evaluations < 2500
    np.testing.assert_allclose(1 - value(quick) / value(proved), some(proved.found_gap))
    rate = prefill_phase(jnp.log2(jnp.asarray(proved.prefill_design)), 1.0)
    assert float(rate.latency_s) <= 0.2
    assert float(rate.gpus) in LATTICES[0].axes[0]
    none = search(*PHASES, LATTICES, OSL, **dict(options, ftl_s=1e-6))
    assert none.prefill_design is None


def test_a_search_without_an_answer_says_so():
    solve = matcher(OSL, ftl_s=1e-6, ttl_s=1.0, max_gpus=64.0)
    seen = explored(1.0)
    result = refine(seen, np.zeros((1, 5)), solve)
    assert isinstance(result.match, NoMatch)
    assert isinstance(certify(seen, solve).match, NoMatch)


@pytest.mark.parametrize("seed", range(10))
def test_solving_every_pair_gives_what_the_collapse_gives(seed):
    rng = np.random.default_rng(seed)
    prefill, decode = pool(rng, 300), pool(rng, 40, 10 ** rng.uniform(-2, 2))
    gpus = float(rng.integers(4, 1500))
    every = solve_every_pair(prefill, decode, gpus)
    got = matched(prefill, decode, 2, max_gpus=gpus)
    np.testing.assert_allclose(every.value, got.value, rtol=1e-11)
    assert every.pairs == 300 * 40
    for k in range(0, 40, 13):
        one = Pool(decode.requests_per_s[[k]], decode.gpus[[k]], decode.latency_s[[k]])
        alone = match(prefill, one, 2, max_gpus=gpus)
        expected = alone.value if alone else 0.0
        np.testing.assert_allclose(every.decode_value[k], expected, rtol=1e-11)


def test_no_pair_fits_a_cap_that_is_too_small():
    one = pool_of([1.0], [8], [1.0])
    assert solve_every_pair(one, one, 15.0).value == 0.0
    exact = solve_every_pair(pool_of([2.0], [1], [1.0]), pool_of([1.0], [1], [1.0]), 64.0)
    assert exact.value == 2.0 / 3.0
