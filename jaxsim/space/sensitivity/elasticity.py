"""How does the best throughput under targets move with every input?

By the envelope theorem. At an optimum, moving the design changes throughput only as far as a target
or the memory lets it: every binding limit has a multiplier, and the elasticity by an input θ of
the rate r of a pool under limits f is

    d ln r / d ln θ = ∂ ln r / ∂ ln θ − Σ μ ∂ ln f / ∂ ln θ,   μ from ∂ ln r = Σ μ ∂ ln f

where the last ∂ is by batch and chunk, taken as real numbers. μ is the percent of throughput that
one percent more of the limit buys. Matched pools share GPUs so that 1/y = Σ 1/(rate per GPU):
d ln y = Σ share · d ln r, with each pool's share of what is paid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import SupportsFloat

import numpy as np

from jaxsim._scalar import Numbers, Scalar, as_scalar
from jaxsim.catalog.deployment import Deployment
from jaxsim.catalog.scenario import Scenario
from jaxsim.catalog.workload import Workload
from jaxsim.quantities import TTL_OUTPUTS
from jaxsim.space.axes import Space, axes_of
from jaxsim.space.designs import PHASES
from jaxsim.space.gradient.derivative import Slopes, slopes_of
from jaxsim.space.program.trace import Axis
from jaxsim.space.sensitivity.change import OWN_HARDWARE

# Derivatives are taken this fraction above a design's batch and chunk: at one sequence a rank, or a
# chunk as long as the prompt, left and right derivatives differ, and batch and chunk can only grow.
HAIR = 1e-9

# A limit binds if the linearised design meets it within this many steps of the grid.
REACH = 2.0

# Slopes below this, percent per percent, are flat.
FLAT = 1e-9


@dataclass(frozen=True)
class Limit:
    """An output that must stay under a bound; `bound_path` is the input that the bound is."""

    name: str
    output: str
    bound: np.ndarray
    bound_path: str = ""


@dataclass(frozen=True)
class PoolSlopes:
    """Elasticities at `n` designs of one phase, every limit taken into account.

    `rate` is requests/s of an instance (or co-located output tokens/s per GPU), `by_input` maps the
    path of an input to d ln rate / d ln input, [n], and `by_limit` the name of a limit to its
    multiplier. `binding` names the limits that bind at each design. `slopes` are the raw ones.
    """

    rate: np.ndarray
    by_input: Mapping[str, np.ndarray]
    by_limit: Mapping[str, np.ndarray]
    binding: tuple[tuple[str, ...], ...]
    slopes: Slopes


def stacked(designs: Sequence[Mapping[str, SupportsFloat]]) -> Deployment:
    """Designs as one record, the leaves of length n."""

    def column(name: str) -> Scalar:
        return as_scalar(np.array([float(design.get(name, 1.0)) for design in designs]))

    return Deployment(*(column(name) for name in ("tp", "ep", "pp", "batch", "chunk")))


def limits_of(
    phase: str,
    scenario: Scenario,
    *,
    ftl_s: Numbers | None = None,
    ttl_s: Numbers | None = None,
    mode: str = "",
    ttl: str = "mean",
) -> list[Limit]:
    """The limits on designs of a phase: latency targets where given, memory, links, the mix."""
    hardware = scenario.hardware
    prefix = f"{mode}_" if mode else ""
    token = prefix + TTL_OUTPUTS[ttl if mode else "mean"]
    limits = []
    if ttl_s is not None:
        limits.append(Limit("ttl", token, np.asarray(ttl_s, float)))
    if ftl_s is not None:
        limits.append(Limit("ftl", f"{prefix}ftl_s", np.asarray(ftl_s, float)))
    capacity = np.asarray(hardware.chip.hbm_bytes, float)
    limits.append(Limit("memory", "total_bytes", capacity, "hardware.chip.hbm_bytes"))
    link = np.asarray(hardware.scaleout.bytes_per_s, float)
    if phase == "prefill":
        limits.append(Limit("link", "kv_link_frac", np.asarray(1.0)))
    elif phase == "decode":
        path = "hardware.scaleout.bytes_per_s"
        limits.append(Limit("link", "kv_ingress_bytes_per_s_per_gpu", link, path))
    elif mode == "piggybacked":
        limits.append(Limit("mix", "piggybacked_prompt_share", np.asarray(1.0)))
    return limits


def points_on_axes(phase: str, workload: Workload, designs: Deployment) -> list[Axis]:
    """Designs as a list on the axes of a phase, batch and chunk larger by the fraction HAIR."""
    hair = {"batch": 1.0 + HAIR, "chunk": 1.0 + HAIR}
    points = {"isl": np.asarray(workload.isl), "osl": np.asarray(workload.osl)}
    for field in fields(Deployment):
        points[field.name] = np.asarray(getattr(designs, field.name), float)
    count = np.size(points["batch"])
    return [
        (name, where, np.broadcast_to(points[name] * hair.get(name, 1.0), (count,)))
        for name, where, _ in axes_of(Space(), phase, (1.0,), (1.0,))
    ]


def pool_slopes(
    phase: str,
    scenario: Scenario,
    designs: Deployment,
    limits: Sequence[Limit],
    *,
    mode: str = "",
    step: np.ndarray | float = np.inf,
) -> PoolSlopes:
    """Elasticities at designs of one phase under limits.

    `step` is ln of the next batch over the batch of each design, 0 where there is none: limits much
    further than that do not bind. Where `designs` are the points of a frontier, their own latency
    is the target.
    """
    rate = f"{mode}_output_tokens_per_s_per_gpu" if mode else "requests_per_s"
    listed = points_on_axes(phase, scenario.workload, designs)
    names = tuple(dict.fromkeys([rate, *(limit.output for limit in limits)]))
    slopes = slopes_of(PHASES[phase], scenario, listed, names)
    count = len(np.asarray(designs.batch))
    steep = np.stack([
        [slopes.log_slope(x, f"design.{name}") for name in ("batch", "chunk")]
        for x in (rate, *(limit.output for limit in limits))
    ])  # fmt: skip
    steep = np.moveaxis(steep, 2, 0)
    slack = np.stack([
        np.log(np.broadcast_to(limit.bound, (count,)) / slopes.values[limit.output])
        for limit in limits
    ])  # fmt: skip
    prices = multipliers(steep[:, 0], steep[:, 1:], slack.T, np.asarray(step, float)).T
    paid = [own for own in zip(limits, prices, strict=True) if own[1].any()]
    by_input = {}
    for path in slopes.numbers:
        if path.startswith("design."):
            continue
        by_input[path] = slopes.log_slope(rate, path)
        for limit, price in paid:
            own = float(limit.bound_path == path)
            if own or path in slopes.slopes[limit.output]:
                steeper = own - slopes.log_slope(limit.output, path)
                by_input[path] = by_input[path] + price * steeper
    binding = tuple(
        tuple(limit.name for limit, price in zip(limits, column, strict=True) if price > 0.0)
        for column in prices.T
    )
    by_limit = {limit.name: price for limit, price in zip(limits, prices, strict=True)}
    return PoolSlopes(slopes.values[rate], by_input, by_limit, binding, slopes)


def multipliers(
    gain: np.ndarray, steep: np.ndarray, slack: np.ndarray, step: np.ndarray | float
) -> np.ndarray:
    """Multipliers of limits at designs: of `gain` = Σ μ · `steep`, over (ln batch, ln chunk).

    The limit that growing the batch meets first binds. If, along it, moving the chunk would still
    gain, and that soon meets a second limit, the second binds too; otherwise the chunk is as good
    as the lattice has it, and is left out. Shapes are [..., 2], [..., limits, 2] and [..., limits].
    """
    by_batch, by_chunk = steep[..., 0], steep[..., 1]
    near, first = _met(by_batch, slack)
    binds = (gain[..., 0] > FLAT) & (near <= REACH * np.asarray(step) + 1e-6)
    one = np.where(binds, _at(by_batch, first), 1.0)
    price = np.where(binds, gain[..., 0] / one, 0.0)
    left = gain[..., 1] - price * _at(by_chunk, first)
    way = -_at(by_chunk, first) / one
    chosen = np.arange(slack.shape[-1]) == first[..., None]
    along = np.sign(left)[..., None] * (by_chunk + way[..., None] * by_batch)
    near, second = _met(np.where(chosen, 0.0, along), slack)
    other, both = _at(by_batch, second), np.arange(slack.shape[-1]) == second[..., None]
    area = one * _at(by_chunk, second) - other * _at(by_chunk, first)
    two = binds & (np.abs(left) > FLAT) & (near <= REACH * CHUNK_STEP) & (np.abs(area) > FLAT)
    area = np.where(two, area, 1.0)
    of_first = (gain[..., 0] * _at(by_chunk, second) - other * gain[..., 1]) / area
    of_second = (one * gain[..., 1] - _at(by_chunk, first) * gain[..., 0]) / area
    two &= (of_first >= 0.0) & (of_second >= 0.0)
    of_first, of_second = np.where(two, of_first, price), np.where(two, of_second, 0.0)
    return np.where(chosen, of_first[..., None], np.where(both, of_second[..., None], 0.0))


def _met(steep: np.ndarray, slack: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far it is to the limit that is met first, and which that is."""
    up = steep > FLAT
    reach = np.where(up, np.maximum(slack, 0.0) / np.where(up, steep, 1.0), np.inf)
    first = np.asarray(np.argmin(reach, axis=-1))
    return _at(reach, first), first


def _at(values: np.ndarray, which: np.ndarray) -> np.ndarray:
    """One of the last axis for each of the others."""
    return np.take_along_axis(values, which[..., None], -1)[..., 0]


# ln of the ratio of neighbouring chunks in the default space, two to an octave.
CHUNK_STEP = 0.5 * float(np.log(2.0))


@dataclass(frozen=True)
class Elasticities:
    """d ln y / d ln of every input and limit, at `n` optima, y output tokens/s per GPU.

    Inputs are paths in a scenario; those of a prefill pool on other hardware have the prefix
    `prefill:`. `share` is the part of what is paid that goes to the prefill pool, 0 co-located.
    `pools` are the phases' own elasticities.
    """

    by_input: Mapping[str, np.ndarray]
    by_limit: Mapping[str, np.ndarray]
    share: np.ndarray
    pools: Mapping[str, PoolSlopes]

    @property
    def binding(self) -> list[dict[str, tuple[str, ...]]]:
        """What binds each pool, for every optimum."""
        count = len(self.share)
        return [{name: pool.binding[i] for name, pool in self.pools.items()} for i in range(count)]


def matched(
    prefill: PoolSlopes,
    decode: PoolSlopes,
    prefill_cost: np.ndarray,
    decode_cost: np.ndarray,
    osl: float,
    *,
    same_hardware: bool = True,
    ratio: float | np.ndarray | None = None,
) -> Elasticities:
    """Elasticities of matched pools from those of each, and from what an instance costs.

    With real numbers of instances the pools' shares of the cost are their costs per request. A
    fixed ratio leaves only the slower pool, whose elasticities count whole.
    """
    each_p, each_d = prefill_cost / prefill.rate, decode_cost / decode.rate
    share = each_p / (each_p + each_d)
    weight_p, weight_d = share, 1.0 - share
    if ratio is not None:
        short = (each_p >= ratio * each_d).astype(float)
        weight_p, weight_d = short, 1.0 - short
    by_input: dict[str, np.ndarray] = {}
    for pool, weight, of_prefill in ((prefill, weight_p, True), (decode, weight_d, False)):
        for path, slope in pool.by_input.items():
            own = of_prefill and not same_hardware and path.startswith(OWN_HARDWARE)
            name = f"prefill:{path}" if own else path
            by_input[name] = by_input.get(name, 0.0) + weight * slope
    # Tokens are requests times OSL − 1.
    by_input["workload.osl"] = by_input["workload.osl"] + osl / (osl - 1.0)
    by_limit: dict[str, np.ndarray] = {}
    for name, pool, weight in (("prefill", prefill, weight_p), ("decode", decode, weight_d)):
        for limit, price in pool.by_limit.items():
            key = limit if limit in ("ttl", "ftl") else f"{name} {limit}"
            by_limit[key] = by_limit.get(key, 0.0) + weight * price
    return Elasticities(by_input, by_limit, share, {"prefill": prefill, "decode": decode})


def alone(colocated: PoolSlopes) -> Elasticities:
    """Elasticities of co-located instances: there is nothing to match."""
    share = np.zeros_like(colocated.rate)
    by_input, by_limit = dict(colocated.by_input), dict(colocated.by_limit)
    return Elasticities(by_input, by_limit, share, {"colocated": colocated})
