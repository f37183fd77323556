"""Which designs of each phase may be deployed, and what do they give at each token latency?

Candidates obey every rule. Frontiers of rate-matched disaggregated pools and of co-located
instances follow from them; the points of a frontier are designs, and each can be looked up.
"""

from dataclasses import dataclass
from typing import Unpack

import numpy as np

from jaxsim.quantities import MODES, TTL_OUTPUTS
from jaxsim.space.deploy.request import gpu_weight
from jaxsim.space.deploy.sweep import Swept
from jaxsim.space.designs import Designs
from jaxsim.space.match.frontier import FrontierOptions, MatchFrontier, match_frontier
from jaxsim.space.match.prune import near_the_best
from jaxsim.space.match.records import Pool


@dataclass(frozen=True)
class Candidates:
    """The designs of one phase that obey every rule, as a pool, and the index of each."""

    pool: Pool
    index: np.ndarray


@dataclass(frozen=True)
class ColocatedCandidates:
    """Co-located designs in both modes, those that obey every rule.

    `ttl_s` is the mean or the median gap between tokens, as the request says.
    """

    output_tokens_per_s_per_gpu: np.ndarray
    ttl_s: np.ndarray
    ftl_s: np.ndarray
    gpus: np.ndarray
    stages: np.ndarray
    mode: np.ndarray
    index: np.ndarray


@dataclass(frozen=True)
class AllCandidates:
    """The candidates of every phase of a request."""

    prefill: Candidates
    decode: Candidates
    colocated: ColocatedCandidates


@dataclass(frozen=True)
class ColocatedFrontier:
    """Best co-located throughput at each token latency, best first reached first."""

    ttl_s: np.ndarray
    output_tokens_per_s_per_gpu: np.ndarray
    candidate: np.ndarray


def one_workload(designs: Designs) -> None:
    """Refuse a grid with several workloads: a frontier belongs to one."""
    several = [axis for axis in ("isl", "osl") if len(designs.axes.get(axis, [0.0])) > 1]
    if several:
        raise ValueError(
            f"{designs.phase}: {' and '.join(several)} has several values, and a frontier belongs "
            "to one workload; select one, e.g. tree.sel(isl=..., osl=...)"
        )


def gather(swept: Swept) -> AllCandidates:
    """The candidates of every phase; a pool's GPUs weigh what the objective says."""
    objective = swept.request.objective
    link = float(swept.setup.hardware.hardware.scaleout.bytes_per_s)
    return AllCandidates(
        prefill_candidates(swept.prefill, gpu_weight(swept.prefill_setup, objective)),
        decode_candidates(swept.decode, link, gpu_weight(swept.setup, objective)),
        colocated_candidates(swept.colocated, swept.request.ttl_metric),
    )


def prefill_candidates(designs: Designs, weight: float = 1.0) -> Candidates:
    """Valid prefill designs whose KV transfer fits the network, as a pool of (rate, GPUs, FTL)."""
    one_workload(designs)
    valid = designs.flat("valid") & (designs.flat("kv_link_frac") <= 1.0)
    return _candidates(designs, valid, "ftl_s", weight)


def decode_candidates(
    designs: Designs, link_bytes_per_s: float = np.inf, weight: float = 1.0
) -> Candidates:
    """Valid decode designs whose KV transfer fits the network, as a pool of (rate, GPUs, TTL)."""
    one_workload(designs)
    fits = designs.flat("kv_ingress_bytes_per_s_per_gpu") <= link_bytes_per_s
    return _candidates(designs, designs.flat("valid") & fits, "ttl_s", weight)


def _candidates(designs: Designs, valid: np.ndarray, latency: str, weight: float) -> Candidates:
    index = np.flatnonzero(valid)
    picked = {
        name: np.asarray(designs.flat(name)[index], dtype=np.float64)
        for name in ("requests_per_s", "gpus", latency)
    }
    stage = picked["gpus"] / designs.columns(index)["pp"]
    pool = Pool(picked["requests_per_s"], picked["gpus"], picked[latency], weight, stage)
    return Candidates(pool, index)


def colocated_candidates(
    designs: Designs, ttl: str = "mean", modes: tuple[str, ...] = MODES
) -> ColocatedCandidates:
    """Valid co-located designs of the given modes; `ttl` is "mean" or "median"."""
    one_workload(designs)
    if ttl not in TTL_OUTPUTS:
        raise ValueError(f"ttl = {ttl!r}: the gap between tokens is the 'mean' or the 'median' one")
    latency = TTL_OUTPUTS[ttl]
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ("y", "ttl", "ftl", "gpus", "pp")}
    index, mode = [], []
    for name in modes:
        kept = np.flatnonzero(designs.flat(f"{name}_valid"))
        index.append(kept)
        mode.append(np.full(len(kept), MODES.index(name)))
        for column, output in (
            ("y", f"{name}_output_tokens_per_s_per_gpu"),
            ("ttl", f"{name}_{latency}"),
            ("ftl", f"{name}_ftl_s"),
            ("gpus", "gpus"),
        ):
            columns[column].append(designs.flat(output)[kept].astype(np.float64))
        columns["pp"].append(designs.columns(kept)["pp"].astype(np.float64))
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    return ColocatedCandidates(
        output_tokens_per_s_per_gpu=joined["y"],
        ttl_s=joined["ttl"],
        ftl_s=joined["ftl"],
        gpus=joined["gpus"],
        stages=joined["pp"],
        mode=np.concatenate(mode),
        index=np.concatenate(index),
    )


def colocated_frontier(
    candidates: ColocatedCandidates, ftl_s: float, running: np.ndarray | float = 1.0
) -> ColocatedFrontier:
    """The co-located frontier among designs that meet the FTL target: less TTL, less throughput.

    `running` is the fraction of the paid GPUs that run, for each design, 0 where not even one
    instance is within the cap; throughput is per paid GPU.
    """
    worth = candidates.output_tokens_per_s_per_gpu * running
    kept = np.flatnonzero((candidates.ftl_s <= ftl_s) & (worth > 0.0))
    kept = kept[near_the_best(candidates.ttl_s[kept], worth[kept])]
    y, ttl = worth[kept], candidates.ttl_s[kept]
    order = np.lexsort((-y, ttl))
    best = np.maximum.accumulate(np.concatenate([[-np.inf], y[order]]))
    front = order[y[order] > best[:-1]]
    return ColocatedFrontier(ttl[front], y[front], kept[front])


def disaggregated_frontier(
    prefill: Candidates,
    decode: Candidates,
    osl: float,
    ftl_s: float,
    **options: Unpack[FrontierOptions],
) -> MatchFrontier:
    """The rate-matched frontier of two pools among designs that meet the FTL target."""
    return match_frontier(prefill.pool, decode.pool, osl, ftl_s=ftl_s, **options)
