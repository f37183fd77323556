"""Random matching problems on the model's own physics: model, hardware, workload, targets, cap."""

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxsim._record import combine, partition, replace_leaf
from jaxsim.catalog.deployment import Deployment
from jaxsim.catalog.setup import setup_of
from jaxsim.catalog.workload import Workload
from jaxsim.point.phases.decode import decode
from jaxsim.point.phases.prefill import prefill
from jaxsim.space.match.relaxed import Estimate, Lattice
from jaxsim.space.program.inputs import is_number

DENSE = ("llama-3.1-8b", "llama-3.1-70b", "llama-3.1-405b", "qwen3-32b")
LATENT = ("deepseek-r1", "kimi-k2")
HARDWARE = ("h100", "h200", "b200", "gb200-nvl72")


@dataclass(frozen=True)
class Problem:
    """One scenario: numbers for the point functions, targets, cap and the two lattices."""

    name: str
    scenario: Any
    osl: float
    ftl_s: float
    ttl_s: float
    max_gpus: float
    lattices: tuple[Lattice, Lattice]


def _estimate(x, scenario, phase, latency):
    """A phase at log2 of (tp, ep, pp, batch, chunk); a dense model has ep 1."""
    size = jnp.exp2(x)
    design = Deployment(tp=size[0], ep=size[1], pp=size[2], batch=size[3], chunk=size[4])
    got = phase(replace_leaf(lambda s: s.design, scenario, design))
    return Estimate(
        requests_per_s=got.requests_per_s,
        gpus=got.gpus,
        latency_s=getattr(got, latency),
        excess=jnp.log(got.memory.total_bytes / got.memory.capacity_bytes),
        valid=got.valid,
    )


def prefill_phase(x, scenario):
    """Prefill at log2 of its axes."""
    return _estimate(x, scenario, prefill, "ftl_s")


def decode_phase(x, scenario):
    """Decode at log2 of its axes; it has no chunk."""
    return _estimate(jnp.append(x, 0.0), scenario, decode, "ttl_s")


def powers(low: float, high: float) -> np.ndarray:
    """Powers of two from `low` to `high`."""
    return 2.0 ** np.arange(np.log2(low), np.log2(high) + 0.5)


@lru_cache(maxsize=8)
def lattices(kind: str, isl: int, experts: bool, domain: int, layers: int):
    """Coarse: powers of two. Fine: batch and chunk nearly continuous."""
    width = powers(1, min(domain, 64))
    shape = width, powers(1, width[-1]) if experts else np.ones(1), powers(1, min(layers // 4, 16))
    if kind == "coarse":
        batches = powers(1, 64), powers(1, 2048)
        chunk = powers(256, isl)
    else:
        batches = np.arange(1.0, 33.0), np.unique(np.round(2 ** np.arange(0, 11.01, 0.05)))
        chunk = np.arange(128.0, isl + 1.0, max(128.0, isl / 64))
    return Lattice((*shape, batches[0], chunk)), Lattice((*shape, batches[1]))


@cache
def _setup(model, hardware):
    return setup_of(model, hardware)


def problem(seed: int, models: tuple[str, ...], kind: str) -> Problem:
    """One random problem. Targets spread over what people ask; not every problem has a plan."""
    rng = np.random.default_rng(seed)
    model, hardware = str(rng.choice(models)), str(rng.choice(HARDWARE))
    isl, osl = int(2 ** rng.integers(10, 15)), int(2 ** rng.integers(7, 13))
    setup = _setup(model, hardware)
    workload = Workload(isl=float(isl), osl=float(osl))
    scenario = jnp_leaves(setup.scenario(workload))
    domain = int(float(np.asarray(scenario.hardware.domain_gpus)))
    layers = int(sum(float(np.asarray(g.layers)) for g in scenario.model.groups))
    return Problem(
        name=f"{model} on {hardware}, {isl}/{osl}, seed {seed}",
        scenario=scenario,
        osl=float(osl),
        ftl_s=float(np.exp(rng.uniform(np.log(0.3), np.log(10.0)))),
        ttl_s=float(np.exp(rng.uniform(np.log(0.008), np.log(0.15)))),
        max_gpus=float(rng.choice([16, 32, 64, 128, 256, 512, 1024])),
        lattices=lattices(kind, isl, models is LATENT, domain, layers),
    )


def jnp_leaves(record):
    """The record with every number an array of one type, so that one compilation serves all."""
    numbers, rest = partition(record, is_number)
    return combine(jax.tree.map(lambda v: jnp.asarray(v, jnp.float32), numbers), rest)
