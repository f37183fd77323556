"""How much throughput per GPU does each way of serving give at each interactivity?

Frontiers of one case under one mixture of the unknowns, at every FTL cutoff, on one ladder of
interactivities; and what the designs on the disaggregated frontier look like.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Unpack

import numpy as np

from jaxsim.space.deploy.candidates import (
    Candidates,
    decode_candidates,
    disaggregated_frontier,
    prefill_candidates,
)
from jaxsim.space.designs import Designs
from jaxsim.space.match.frontier import FrontierOptions, records
from jaxsim.space.match.records import Pool
from jaxsim.view.study.settings import Mixture, Setting, settings
from jaxsim.view.study.sweeps import Case, Sweeper, best_by_targets

METRICS = ("mean", "median")
WAYS = ("ifb", "mixed_step", "ttl_metric")  # in-flight batching; both readings of piggybacking
EVEN_POINTS = 121  # a gain is averaged over so many evenly spaced interactivities
FLAT_FRAC = 0.99  # a frontier is flat while it is within this of its maximum


@dataclass(frozen=True)
class Matched:
    """The disaggregated frontier under one FTL cutoff, on the ladder: zeros where nothing serves.

    `prefill` describes the prefill design at the tight end, which without limits serves all of it,
    `decode` the design at each rung; empty where no prefill design meets the cutoff.
    """

    y: np.ndarray
    ctx_gen_ratio: np.ndarray
    prefill: dict[str, float]
    decode: dict[str, np.ndarray]

    @property
    def served(self) -> np.ndarray:
        return self.y > 0.0


@dataclass(frozen=True)
class Curves:
    """All frontiers of a case under a mixture."""

    case: Case
    interactivity: np.ndarray
    ftl_s: tuple[float, ...]
    colocated_table: np.ndarray  # (way, TTL metric, FTL cutoff, interactivity)
    disaggregated: tuple[Matched, ...]  # by FTL cutoff

    def matched(self, setting: Setting) -> Matched:
        """The disaggregated frontier of a setting."""
        return self.disaggregated[self.ftl_s.index(setting.ftl_s)]

    def colocated(self, setting: Setting, mode: str = "overall") -> np.ndarray:
        """The co-located throughput of a setting: `ifb`, `piggybacked`, or the better of both."""
        metric, cutoff = METRICS.index(setting.ttl_metric), self.ftl_s.index(setting.ftl_s)
        whole = self.colocated_table[WAYS.index("ifb"), metric, cutoff]
        mixed = self.colocated_table[WAYS.index(setting.piggybacking), metric, cutoff]
        return {"ifb": whole, "piggybacked": mixed, "overall": np.maximum(whole, mixed)}[mode]


@dataclass(frozen=True)
class Gain:
    """Disaggregated over co-located throughput where both serve and either depends on latency.

    On evenly spaced interactivities, the x axis of the study; `position` runs from 0 at the relaxed
    end to 1 at the tight end. Empty where there is no such range.
    """

    interactivity: np.ndarray
    gain: np.ndarray
    position: np.ndarray

    def __len__(self) -> int:
        return len(self.gain)

    @property
    def mean(self) -> float:
        """Geometric mean over the range."""
        return float(np.exp(np.mean(np.log(self.gain))))


def range_of(*frontiers: np.ndarray) -> np.ndarray:
    """Rungs from where the first of the frontiers begins to fall to where the first one ends."""
    alive = np.logical_and.reduce([y > 0.0 for y in frontiers])
    if not alive.any():
        return np.zeros(0, dtype=int)
    flat = [np.flatnonzero(y >= FLAT_FRAC * y.max())[-1] for y in frontiers]
    return np.arange(min(flat), np.flatnonzero(alive)[-1] + 1)


def evenly(interactivity: np.ndarray, where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Evenly spaced interactivities over some rungs, and the rung that meets each."""
    x = np.linspace(interactivity[where[0]], interactivity[where[-1]], EVEN_POINTS)
    rung = np.searchsorted(interactivity, x * (1.0 - 1e-12))
    return x, np.clip(rung, where[0], where[-1])


def gain_of(curves: Curves, setting: Setting) -> Gain:
    """The gain of disaggregation over the better co-located mode."""
    disaggregated, colocated = curves.matched(setting).y, curves.colocated(setting)
    where = range_of(disaggregated, colocated)
    if not len(where):
        return Gain(np.zeros(0), np.zeros(0), np.zeros(0))
    x, rung = evenly(curves.interactivity, where)
    return Gain(x, disaggregated[rung] / colocated[rung], np.linspace(0.0, 1.0, len(x)))


def mixed_step_s(colocated: Designs, decode: Designs) -> np.ndarray:
    """Time of a decode step that carries a chunk, on the co-located grid.

    From FTL = t_d / 2 + C · t_m of piggybacking, with the decode pool's t_d (same axes but chunk).
    """
    chunks = np.ceil(colocated.axes["isl"][:, None] / colocated.axes["chunk"])
    names = list(colocated.axes)
    shape = [len(colocated.axes[n]) if n in ("isl", "chunk") else 1 for n in names]
    plain_s = np.expand_dims(decode.full("ttl_s"), names.index("chunk"))
    return (colocated.full("piggybacked_ftl_s") - 0.5 * plain_s) / chunks.reshape(shape)


def colocated_table(
    designs: Designs, decode: Designs, interactivity: np.ndarray, ftl_s: Sequence[float]
) -> np.ndarray:
    """Co-located throughput by way, TTL metric, FTL cutoff and interactivity."""
    ttl_targets, ftl_targets = 1.0 / interactivity[::-1], np.sort(ftl_s)
    order = [int(np.flatnonzero(ftl_targets == cutoff)[0]) for cutoff in ftl_s]
    table = np.zeros((len(WAYS), len(METRICS), len(ftl_s), len(interactivity)))
    mixed = mixed_step_s(designs, decode)
    for i, way in enumerate(WAYS):
        mode = "ifb" if way == "ifb" else "piggybacked"
        kept = np.flatnonzero(designs.full(f"{mode}_valid"))
        gaps = [designs.full(f"{mode}_{name}") for name in ("ttl_s", "ttl_median_s")]
        named = [designs.full(f"{mode}_output_tokens_per_s_per_gpu"), designs.full(f"{mode}_ftl_s")]
        named += [mixed, mixed] if way == "mixed_step" else gaps
        y, ftl, *gaps = (column.ravel()[kept].astype(np.float64) for column in named)
        for j, ttl in enumerate(gaps):
            best = best_by_targets(y, ttl, ftl, ttl_targets, ftl_targets)
            table[i, j] = best[order, ::-1]
    return table


def axis_columns(designs: Designs, index: np.ndarray) -> dict[str, np.ndarray]:
    """The axis values of designs."""
    where = np.unravel_index(index, designs.shape)
    return {
        name: np.asarray(values, dtype=float)[i]
        for (name, values), i in zip(designs.axes.items(), where, strict=True)
    }


def on_ladder(ttl_s: np.ndarray, interactivity: np.ndarray) -> np.ndarray:
    """For each rung the last frontier point (by rising TTL) that meets it; -1 where none does."""
    # A rung is met by a TTL that equals it up to rounding.
    return np.searchsorted(ttl_s, (1.0 + 1e-12) / interactivity, side="right") - 1


def matched_on_ladder(
    prefill: Candidates, decode: Candidates, swept: tuple[Designs, Designs], osl: float,
    ftl_s: float, interactivity: np.ndarray, **options: Unpack[FrontierOptions],
) -> Matched:  # fmt: skip
    """The matched frontier of two pools on the ladder; `options` as of `match_frontier`."""
    front = disaggregated_frontier(prefill, decode, osl, ftl_s, **options)
    prompt, token = swept
    rung = on_ladder(front.ttl_s, interactivity)
    met = rung >= 0
    y, ratio = np.zeros(len(rung)), np.full(len(rung), np.nan)
    if not met.any():
        return Matched(y, ratio, {}, {})
    y[met] = front.output_tokens_per_s_per_gpu[rung[met]]
    own, theirs = (
        pool.requests_per_s[index] / pool.gpus[index]
        for pool, index in (
            (prefill.pool, front.prefill_index), (decode.pool, front.decode_index),
        )
    )  # fmt: skip
    # Without limits the pools balance exactly; with some the counts are what they are.
    exact = front.ctx_gen_ratio if options else theirs / own
    ratio[met] = exact[rung[met]]
    i = int(prefill.index[front.prefill_index[0]])
    prompt_design = {name: float(v[0]) for name, v in axis_columns(prompt, np.array([i])).items()}
    outputs = ("gpus", "ftl_s", "requests_per_s", "kv_egress_bytes_per_s_per_gpu")
    prompt_design |= {name: prompt.value(name, i) for name in outputs}
    j = decode.index[front.decode_index]
    columns = axis_columns(token, j)
    for name in ("gpus", "ttl_s", "requests_per_s", "kv_ingress_bytes_per_s_per_gpu"):
        columns[name] = token.full(name).ravel()[j].astype(float)
    columns |= {
        "prefill_requests_per_s": prefill.pool.requests_per_s[front.prefill_index],
        "prefill_gpus": prefill.pool.gpus[front.prefill_index],
        "prefill_instances": front.prefill_instances.astype(float),
        "decode_instances": front.decode_instances.astype(float),
    }
    token_designs = {name: np.where(met, column[rung], np.nan) for name, column in columns.items()}
    return Matched(y, ratio, prompt_design, token_designs)


Pools = tuple[Candidates, Candidates, tuple[Designs, Designs]]


def pools_of(sweeper: Sweeper, case: Case, mixture: Mixture) -> Pools:
    """Both pools of a case: candidates, and the designs that they index."""
    prompt = sweeper.phase("prefill", case, mixture)
    token = sweeper.phase("decode", case, mixture)
    link = float(sweeper.scenario(case, mixture).hardware.scaleout.bytes_per_s)
    prefill, decode = prefill_candidates(prompt), decode_candidates(token, link)
    return thinned(prefill), thinned(decode), (prompt, token)


def thinned(candidates: Candidates) -> Candidates:
    """The candidates without those that are in no optimum, whatever the targets.

    A design can be part of one only if it is faster than all of its shape with less latency.
    """
    pool = candidates.pool
    kept = records(pool, np.arange(len(pool)))
    less = Pool(pool.requests_per_s[kept], pool.gpus[kept], pool.latency_s[kept], pool.weight)
    return Candidates(less, candidates.index[kept])


def curves_of(pools: Pools, colocated: Designs, case: Case) -> Curves:
    """Every frontier of a case, from its pools and its co-located designs."""
    known = settings()
    interactivity, cutoffs = known.interactivity, known.cutoffs
    prefill, decode, swept = pools
    disaggregated = tuple(
        matched_on_ladder(prefill, decode, swept, case.osl, ftl_s, interactivity)
        for ftl_s in cutoffs
    )
    table = colocated_table(colocated, swept[1], interactivity, cutoffs)
    return Curves(case, interactivity, cutoffs, table, disaggregated)
