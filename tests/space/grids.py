"""A point function with terms on many subsets of its axes, and its grids, for tests of sweeps."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxsim._record import Record
from jaxsim.space.program.bits import in_precision


def precision(bits):
    """Run in 32 or 64 bits; a context."""
    return in_precision(bits == 64)


class Chip(Record):
    flop_per_s: Any = 1.0e15
    bytes_per_s: Any = 3.0e12
    hbm_bytes: Any = 1.8e11


class Point(Record):
    chip: Chip = Chip()
    hidden: Any = 7168.0
    layers: Any = 61.0
    tp: Any = 8.0
    pp: Any = 1.0
    batch: Any = 64.0
    isl: Any = 16384.0
    osl: Any = 2048.0
    name: Any = "kept out of the arithmetic"


def _larger(a, b):
    return jnp.sqrt(a * a + b * b)


class Calls:
    """How often a function was called."""

    def __init__(self):
        self.count = 0


CALLS = Calls()


def compilations(jitted: Any) -> int:
    """How many programs JAX has compiled for a jitted function."""
    return jitted._cache_size()


def step(p):
    """Outputs on several subsets of the axes; `CALLS` counts how often it is traced."""
    CALLS.count += 1
    share = p.batch / p.pp
    gemm_s = 4e-6 + _larger(
        jnp.ceil(share / 16.0) * 32.0 * p.hidden**2 / (p.tp * p.chip.flop_per_s),
        p.hidden**2 / (p.tp * p.chip.bytes_per_s),
    )
    context = p.isl + 0.5 * p.osl
    cache_bytes = share * context * 576.0 * jnp.exp(-0.01 * p.tp)
    attention_s = 3e-6 + _larger(
        cache_bytes * 512.0 / p.chip.flop_per_s / p.tp, cache_bytes / p.chip.bytes_per_s
    )
    reduce_s = jnp.where(p.tp > 1.5, 5e-6 + 1e-6 * jnp.log2(p.tp) + share * 2e-9, 0.0)
    ttl_s = p.layers * (gemm_s + attention_s + reduce_s)
    used_bytes = p.layers / p.pp * (p.hidden**2 * 90.0 / p.tp + share * (p.isl + p.osl) * 1152.0)
    valid = (used_bytes < p.chip.hbm_bytes) & (ttl_s < 0.2)
    return {
        "gemm_s": gemm_s,
        "attention_s": attention_s,
        "ttl_s": ttl_s,
        "rate": p.batch / ttl_s,
        "per_gpu": p.batch / ttl_s / (p.tp * p.pp),
        "gpus": p.tp * p.pp,
        "one": jnp.asarray(1.0),
        "valid": valid,
    }


WHERE = {
    "isl": lambda p: p.isl,
    "osl": lambda p: p.osl,
    "tp": lambda p: p.tp,
    "pp": lambda p: p.pp,
    "batch": lambda p: p.batch,
}


def grid(isl=3, osl=4, tp=5, pp=3, batch=20):
    """Axes of the given lengths, outer to inner."""
    values = {
        "isl": np.geomspace(256, 65536, isl),
        "osl": np.geomspace(64, 8192, osl),
        "tp": 2.0 ** np.arange(tp),
        "pp": 2.0 ** np.arange(pp),
        "batch": np.round(np.geomspace(1, 4096, batch)),
    }
    return [(name, WHERE[name], values[name]) for name in values]


def whole(p):
    """Small whole numbers with many ties, which every order of evaluation gives exactly."""
    near = jnp.abs(p.batch - 7.0) + jnp.abs(p.tp - 4.0)
    value = jnp.floor(20.0 - near / 3.0) + jnp.floor(p.pp / 4.0) - jnp.floor(p.isl / 2e4)
    return {"value": value, "cost": near + p.pp, "odd": jnp.mod(p.batch, 2.0) == 1.0}
