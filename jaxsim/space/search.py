"""Which designs are best, of spaces too large to keep?

Every design of a space is evaluated for every workload, target, model and hardware, and nothing
but the best of them, or their frontier, is kept: memory does not grow with the grid.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TypedDict, Unpack

import jax
import jax.numpy as jnp
import numpy as np

from jaxsim._record import Record
from jaxsim._scalar import Flag, Scalar
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.scenario import Scenario
from jaxsim.point.phases.colocated import Colocated
from jaxsim.space.axes import LEAF, Space, Values, axes_of, complete
from jaxsim.space.designs import PHASES
from jaxsim.space.grid.best import Best, stream_best
from jaxsim.space.grid.best_in_numpy import is_small, small_best
from jaxsim.space.grid.frontier import Frontiers, stream_frontier
from jaxsim.space.program.inputs import Axis, Device
from jaxsim.space.program.process_memory import KEPT_DESIGN_BYTES, require

# What is maximised in each phase, and the latency that is limited.
OBJECTIVE = {
    "prefill": "input_tokens_per_s_per_gpu",
    "decode": "output_tokens_per_s_per_gpu",
    "colocated": "output_tokens_per_s_per_gpu",
}
LATENCY = {"prefill": "ftl_s", "decode": "ttl_s", "colocated": "ttl_s"}
TARGET = {"prefill": "ftl_target", "decode": "ttl_target", "colocated": "ttl_target"}


class SearchPoint(Record):
    """A design and its latency limits: `target_s` of its phase; `ftl_s` also, if co-located."""

    scenario: Scenario
    target_s: Scalar
    ftl_s: Scalar


class SearchOutputs(Record):
    """What a search compares. Of a co-located design: the mode with the higher throughput."""

    value: Scalar
    latency_s: Scalar
    ok: Flag


@dataclass(frozen=True)
class Search:
    """A phase as a function of a `SearchPoint`. Equal instances are traced once."""

    phase: str

    def __call__(self, point: SearchPoint) -> SearchOutputs:
        result = PHASES[self.phase](point.scenario)
        if not isinstance(result, Colocated):
            latency_s = getattr(result, LATENCY[self.phase])
            ok = result.valid & result.transfer_fits & (latency_s <= point.target_s)
            return SearchOutputs(getattr(result, OBJECTIVE[self.phase]), latency_s, ok)
        oks, values = [], []
        for mode in (result.ifb, result.piggybacked):
            ok = mode.valid & (mode.ttl_s <= point.target_s) & (mode.ftl_s <= point.ftl_s)
            oks.append(ok)
            values.append(jnp.where(ok, mode.output_tokens_per_s_per_gpu, -jnp.inf))
        better = values[1] > values[0]
        latency_s = jnp.where(better, result.piggybacked.ttl_s, result.ifb.ttl_s)
        return SearchOutputs(jnp.where(better, values[1], values[0]), latency_s, oks[0] | oks[1])


@dataclass(frozen=True)
class SearchResult:
    """The best designs, or the frontiers, of every group, and the values of every axis by name.

    `groups` are the axes that `designs` is given for, outer to inner; `dropped` says what of the
    space was left out. Where whole numbers between the grid's were looked at, no other serves more
    by the fraction `gap`.
    """

    phase: str
    axes: Mapping[str, np.ndarray]
    groups: tuple[str, ...]
    designs: Best | Frontiers
    dropped: tuple[str, ...] = ()
    gap: float | None = None


class _Wanted(TypedDict):
    objective: str
    valid: str
    count: int


def common_space(space: Space | None, scenarios: Sequence[Scenario], isl: float) -> Space:
    """The space with its empty axes filled by what is sensible for any of the scenarios."""
    spaces = [complete(space, one.model, one.hardware, isl) for one in scenarios]
    axes = [axis.name for axis in fields(Space) if axis.name != "dropped"]
    joined: dict[str, Values] = {
        name: tuple(sorted({v for one in spaces for v in getattr(one, name)})) for name in axes
    }
    return replace(Space(dropped=spaces[0].dropped), **joined)


class StreamLimits(TypedDict, total=False):
    """How a search is cut into steps, and where it runs."""

    step_points: int | None
    block_points: int | None
    devices: Sequence[Device] | None


def search(
    phase: str,
    scenarios: Sequence[Scenario],
    space: Space | None,
    isl: Values,
    osl: Values,
    *,
    targets_s: Values = (np.inf,),
    ftl_s: float = np.inf,
    count: int = 1,
    frontier: bool = False,
    **limits: Unpack[StreamLimits],
) -> SearchResult:
    """The `count` best designs for every scenario, workload and target, or the frontiers.

    Scenarios must be of one structure (the same kinds of layers): they are an axis of one
    evaluation. With `frontier`, targets do not apply. `limits` are those of `stream_best`.
    """
    if phase not in PHASES:
        raise InputError(f"phase {phase!r}: it is one of {', '.join(PHASES)}")
    kinds = {jax.tree.structure(one) for one in scenarios}
    if len(kinds) != 1:
        raise InputError(
            f"{len(scenarios)} set-ups have {len(kinds)} structures: search those with other kinds "
            "of layers (dense or experts, full or latent attention) one at a time."
        )
    filled = common_space(space, scenarios, float(max(isl)))
    numbers = [jax.tree.map(lambda x: np.asarray(x, np.float32), one) for one in scenarios]
    point = SearchPoint(numbers[0], float("inf"), float(ftl_s))
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *numbers)
    axes: list[Axis] = []
    if len(numbers) > 1:
        axes.append(("setup", lambda point: point.scenario, stacked))
    for name, _, values in axes_of(filled, phase, isl, osl):
        axes.append((name, lambda point, name=name: LEAF[name](point.scenario), values))
    if not frontier:
        targets = np.asarray(targets_s, np.float32)
        axes.append((TARGET[phase], lambda point: point.target_s, targets))
    names = [name for name, _, _ in axes]
    groups = tuple(g for g in ("setup", "isl", "osl", TARGET[phase]) if g in names)
    fn = Search(phase)
    cases = math.prod(len(jax.tree.leaves(v)[0]) for name, _, v in axes if name in groups)
    require(KEPT_DESIGN_BYTES * cases * count, f"Keeping {cases * count:,} designs")
    designs: Best | Frontiers
    if frontier:
        designs = stream_frontier(
            fn, point, axes, groups, x="latency_s", y="value", valid="ok", **limits
        )
    else:
        wanted: _Wanted = {"objective": "value", "valid": "ok", "count": count}
        if is_small(axes) and not limits:
            designs = small_best(fn, point, axes, groups, **wanted)
        else:
            designs = stream_best(fn, point, axes, groups, **wanted, **limits)
    values = {name: np.asarray(v) for name, _, v in axes if name != "setup"}
    return SearchResult(phase, values, groups, designs, filled.dropped)
