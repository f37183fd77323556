"""Which real-valued designs and ratio are best, by gradient?

Relax, round, refine: batch, chunk and widths are real (in log2), and so is the ratio of counts.
Many starts run at once. The result is a start for `lattice.search`, never a proof.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxsim._scalar import Flag, Scalar
from jaxsim.catalog.errors import InputError
from jaxsim.space.match.records import Column

_NORM = 8.0  # the slower pool decides: min(a, b) as an 8-norm of reciprocals, smooth in both
# XLA's fusion on CPU copies shared small terms into ever larger kernels; without it the gradient of
# a model compiles 5 to 9 times faster, and a step of a few starts is bound by neither.
_COMPILER = {"xla_disable_hlo_passes": "fusion"}
_MISS = 10.0  # loss for missing a limit by a factor e, against 1 for a factor e of value


class Estimate(NamedTuple):
    """What a point function says of one design, differentiable but for `valid`.

    `excess` is the log of the worst other limit reached (memory over capacity): at most 0 if it
    fits. `valid` says whether every rule holds; the relaxed search does not look at it.
    """

    requests_per_s: Scalar
    gpus: Scalar
    latency_s: Scalar
    excess: Scalar
    valid: Flag


Phase = Callable[..., Estimate]  # (log2 of the axes, parameters of the scenario)


@dataclass(frozen=True)
class Lattice:
    """The values that each axis may take, ascending; the relaxed search stays in their hull."""

    axes: tuple[Column, ...]

    def __post_init__(self):
        axes = tuple(np.asarray(a, float) for a in self.axes)
        for values in axes:
            if (
                values.ndim != 1
                or not values.size
                or values[0] <= 0
                or np.any(np.diff(values) <= 0)
            ):
                raise InputError(
                    f"Values of an axis must be positive and ascending; {values} was given."
                )
        object.__setattr__(self, "axes", axes)

    @property
    def lengths(self) -> tuple[int, ...]:
        """How many values each axis has."""
        return tuple(len(a) for a in self.axes)

    @property
    def size(self) -> int:
        """How many designs there are."""
        return int(np.prod(self.lengths))

    def log2(self, index: np.ndarray) -> np.ndarray:
        """Log2 of the axes of designs given by flat index."""
        where = np.unravel_index(index, self.lengths)
        return np.stack([np.log2(a[w]) for a, w in zip(self.axes, where, strict=True)], axis=-1)

    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """Least and greatest log2 of each axis."""
        return np.log2([a[0] for a in self.axes]), np.log2([a[-1] for a in self.axes])

    def around(self, x: np.ndarray) -> np.ndarray:
        """Flat indices of the lattice neighbours of real points: both values on every axis."""
        corners = []
        for axis, values in enumerate(self.axes):
            above = np.searchsorted(np.log2(values), x[..., axis], side="left")
            above = np.clip(above, 0, len(values) - 1)
            corners.append(np.stack([np.maximum(above - 1, 0), above], axis=-1))
        flat = np.zeros((*x.shape[:-1], 1), dtype=np.int64)
        for length, pair in zip(self.lengths, corners, strict=True):
            flat = (flat[..., :, None] * length + pair[..., None, :]).reshape(*x.shape[:-1], -1)
        return flat


@dataclass(frozen=True)
class Targets:
    """What a plan must meet, as numbers that may be traced."""

    ftl_s: Scalar
    ttl_s: Scalar
    max_gpus: Scalar
    prefill_weight: Scalar = 1.0
    decode_weight: Scalar = 1.0


jax.tree_util.register_dataclass(Targets)


def relaxed_loss(
    z: jax.Array, split: int, prefill: Phase, decode: Phase, parameters: object, targets: Targets
) -> jax.Array:
    """Minus the log of requests/s per cost of one relaxed plan, plus what it misses of limits.

    `z` is (log2 of prefill's axes, of decode's, and of n_p / n_d). With n and m at least 1 and of
    that ratio, served is a smooth min(n·r, m·s), the cost n·a + m·b.
    """
    prompts, tokens = prefill(z[:split], parameters), decode(z[split:-1], parameters)
    ln2 = jnp.log(2.0)
    n, m = jnp.maximum(z[-1], 0.0) * ln2, jnp.maximum(-z[-1], 0.0) * ln2  # logs of the counts
    fed, drained = n + jnp.log(prompts.requests_per_s), m + jnp.log(tokens.requests_per_s)
    served = -jnp.logaddexp(-_NORM * fed, -_NORM * drained) / _NORM
    g, h = jnp.exp(n) * prompts.gpus, jnp.exp(m) * tokens.gpus
    cost = g * targets.prefill_weight + h * targets.decode_weight
    missed = jnp.stack(
        [
            jnp.log(prompts.latency_s / targets.ftl_s),
            jnp.log(tokens.latency_s / targets.ttl_s),
            jnp.log((g + h) / targets.max_gpus),
            jnp.asarray(prompts.excess),
            jnp.asarray(tokens.excess),
        ]
    )
    return jnp.log(cost) - served + _MISS * jnp.sum(jnp.maximum(missed, 0.0))


@partial(
    jax.jit,
    static_argnames=("split", "prefill", "decode", "steps"),
    compiler_options=_COMPILER,
)
def _descend(
    z: jax.Array,
    low: jax.Array,
    high: jax.Array,
    parameters: object,
    targets: Targets,
    rate: Scalar,
    *,
    split: int,
    prefill: Phase,
    decode: Phase,
    steps: int,
) -> tuple[jax.Array, jax.Array]:
    """Adam from every row of `z`, kept inside the box; the lowest loss of each start."""
    schedule = optax.cosine_decay_schedule(rate, steps)
    adam = optax.adam(schedule)
    loss = partial(
        relaxed_loss,
        split=split,
        prefill=prefill,
        decode=decode,
        parameters=parameters,
        targets=targets,
    )

    def one(start: jax.Array) -> tuple[jax.Array, jax.Array]:
        def step(
            carry: tuple[jax.Array, optax.OptState, jax.Array, jax.Array], _: object
        ) -> tuple[tuple[jax.Array, optax.OptState, jax.Array, jax.Array], None]:
            z, state, best, best_loss = carry
            value, slope = jax.value_and_grad(loss)(z)
            better = value < best_loss
            best = jnp.where(better, z, best)
            slope = jnp.where(jnp.isfinite(slope), slope, 0.0)
            change, state = adam.update(slope, state)
            z = jnp.clip(z + jnp.asarray(change), low, high)
            return (z, state, best, jnp.where(better, value, best_loss)), None

        worst = jnp.asarray(jnp.inf, dtype=start.dtype)
        initial = (start, adam.init(start), start, worst)
        (_, _, best, value), _ = jax.lax.scan(step, initial, None, length=steps)
        return best, value

    return jax.vmap(one)(z)


def random_starts(
    prefill: Lattice, decode: Lattice, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Random points of both boxes and ratios from 1:16 to 16:1, one a row."""
    low = np.concatenate([prefill.box()[0], decode.box()[0], [-4.0]])
    high = np.concatenate([prefill.box()[1], decode.box()[1], [4.0]])
    return rng.uniform(low, high, (count, len(low)))


def relax(
    prefill: Phase,
    decode: Phase,
    lattices: tuple[Lattice, Lattice],
    starts: np.ndarray,
    targets: Targets,
    parameters: object = None,
    *,
    steps: int = 60,
    learning_rate: float = 0.3,
) -> tuple[np.ndarray, np.ndarray]:
    """The best relaxed plan of each start (log2 of all axes, then of the ratio), and its loss.

    `learning_rate` is a first step in octaves. Phases should use straight-through rounding: a
    hard ceiling has no gradient, and misleads.
    """
    low = np.concatenate([lattices[0].box()[0], lattices[1].box()[0], [-10.0]])
    high = np.concatenate([lattices[0].box()[1], lattices[1].box()[1], [10.0]])
    best, loss = _descend(
        jnp.asarray(starts),
        jnp.asarray(low),
        jnp.asarray(high),
        parameters,
        targets,
        learning_rate,
        split=len(lattices[0].axes),
        prefill=prefill,
        decode=decode,
        steps=steps,
    )
    return np.asarray(best), np.asarray(loss)
