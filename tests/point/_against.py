"""Evaluate a phase with the reference's time model in place of the fitted kernels."""

import functools

import jax
import numpy as np

from jaxsim.point import forward
from jaxsim.point.phases import colocated, decode
from jaxsim.point.work import AbstractMessage
from tests.narrow import untyped
from tests.reference import plain as reference
from tests.scenarios import outputs_of, random_scenarios, stacked

MODELS = ("gqa_dense", "gqa_moe", "mla_moe", "sparse_moe", "sliding")


def _tag(role: str) -> float:
    return 1 + sum(map(ord, role)) % 17 / 17


def timed(linear: bool):
    """`item_spent` by the reference's model of time, for traced numbers."""

    def split(seconds):
        floor = reference.FLOOR_FRAC
        return forward.Spent(floor * seconds, (1 - floor) * seconds)

    def item_spent(item, scenario):
        work = item.work
        if isinstance(work, AbstractMessage):
            present = jax.numpy.where(jax.numpy.asarray(work.ranks) > 1, 1.0, 0.0)
            one_s = 3e-6 + work.data_bytes / 4e11 * (1 - 1 / work.ranks)
            exposed = 1 - scenario.options.comm_overlap_frac
            return split(item.count * present * exposed * _tag(item.role) * one_s)
        launches = getattr(work, "launches", 1.0)
        flop_s, bytes_s = work.flop / 9e14, work.hbm_bytes / 5e12
        # A root, not `hypot`: the same number, with a derivative JAX knows.
        busy_s = flop_s + bytes_s if linear else (flop_s**2 + bytes_s**2) ** 0.5
        return split(item.count * _tag(item.role) * (4e-6 * launches + busy_s))

    return item_spent


# Every module that times items by this name.
_TIMING = (forward, decode, colocated)


@functools.cache
def evaluated(
    phase,
    model: str,
    count: int,
    seed: int,
    linear: bool,
    whole_chunks: bool = True,
    packed: bool = False,
):
    """Random designs as plain numbers, and the outputs for each: NumPy, one row a design."""
    scenarios = random_scenarios(model, count, seed, whole_chunks=whole_chunks, packed=packed)
    own = forward.item_spent
    for module in _TIMING:
        untyped(module).item_spent = timed(linear)
    try:
        # A function of its own, so that it is traced with this model of time and no other.
        outputs = outputs_of(lambda s: phase(s), stacked(scenarios))
    finally:
        for module in _TIMING:
            untyped(module).item_spent = own
    return [reference.plain(s) for s in scenarios], outputs


def clock(linear: bool):
    return reference.linear_seconds if linear else reference.seconds


def assert_parts(record, expected: dict[str, float], i: int, rtol: float):
    for part, seconds in expected.items():
        got = getattr(record, f"{part}_s")[i]
        np.testing.assert_allclose(got, seconds, rtol=rtol, atol=1e-15, err_msg=f"{part}, {i}")
