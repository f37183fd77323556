"""How fast is the exact solver?

    python -m benchmarks.matching.solver --json FILE

Rows have the shape of `benchmarks.speed`: one measurement of a form on so many pairs. Seconds are
processor seconds of one core (the least of several runs), so that a busy machine does not count.
"""

import argparse
import json
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed.machine import description
from jaxsim.space.match.exact import Limits, best_counts
from jaxsim.space.match.frontier import match_frontier
from jaxsim.space.match.pairs import solve_every_pair
from jaxsim.space.match.prune import collapse, pairs_of, usable
from jaxsim.space.match.records import Match, Pool
from jaxsim.space.match.solve import match

CAP = 1024
RUNS = 7


def random_pool(
    rng: np.random.Generator, count: int, rate: float, octaves: int, thirds: bool = False
) -> Pool:
    """Sizes 1, 2, … 2^(octaves−1), rates in proportion but for a spread.

    With `thirds`, half of the designs have 3/2 of such a size.
    """
    gpus = 2.0 ** rng.integers(0, octaves, count)
    if thirds:
        gpus = np.where((gpus > 1) & (rng.random(count) < 0.5), 1.5 * gpus, gpus)
    latency = rng.lognormal(0, 0.7, count)
    return Pool(rate * rng.lognormal(0, 0.7, count) * gpus * latency**0.3, gpus, latency)


def least_seconds(call, runs: int = RUNS) -> float:
    """Processor seconds of the fastest of several runs."""
    taken = []
    for _ in range(runs):
        began = time.process_time()
        call()
        taken.append(time.process_time() - began)
    return min(taken)


about = cache(description)


def row(name: str, form: str, points: int, seconds: float, reference_per_s: float | None) -> dict:
    """One measurement; `ratio_to_numpy` is against trying every count of every pair."""
    rate = points / seconds
    return {
        "name": name, "form": form, "points": points, "seconds": seconds, "points_per_s": rate,
        "compile_s": 0.0, "ratio_to_numpy": rate / reference_per_s if reference_per_s else None,
        "fraction_of_limit": None, **about(),
    }  # fmt: skip


def one_by_one(rng: np.random.Generator) -> list[dict]:
    """Every pair solved, at three mixes of sizes; and the plain way, trying counts."""
    rows = []
    for octaves in (1, 4, 7):
        prefill, decode = (
            random_pool(rng, 8192, 1.0, octaves),
            random_pool(rng, 256, 0.3, octaves),
        )
        some = pairs_of(prefill, decode, np.arange(64), np.arange(8))
        limits = Limits(CAP, prefill_instances=(1, CAP))
        plain = len(some) / least_seconds(lambda s=some, m=limits: best_counts(s, m), 3)
        name = f"pairs one by one, cap {CAP}, sizes 1 to {2 ** (octaves - 1)}"
        rows.append(row(name, "every count tried", len(some), len(some) / plain, plain))
        seconds = least_seconds(lambda p=prefill, d=decode: solve_every_pair(p, d, CAP))
        rows.append(row(name, "gallop", 8192 * 256, seconds, plain))
    return rows


def collapsed(rng: np.random.Generator) -> list[dict]:
    """10^8 feasible pairs, from arrays to a certified answer, under each kind of limit."""
    prefill, decode = random_pool(rng, 10_000, 1.0, 7), random_pool(rng, 10_000, 0.3, 7)
    pairs = 10**8
    rows = []

    def both():
        collapse(prefill, usable(prefill, np.inf))
        collapse(decode, usable(decode, np.inf))

    rows.append(row("collapse of 10^4 + 10^4 designs", "exact", pairs, least_seconds(both), None))
    caps: tuple[tuple[str, dict[str, Any]], ...] = (
        (f"at most {CAP} GPUs", {"max_gpus": CAP}),
        (f"exactly {CAP} GPUs", {"exact_gpus": CAP}),
        ("no cap", {}),
        (f"at most {CAP} GPUs, ratio 1", {"max_gpus": CAP, "ratio": 1.0}),
        (f"at most {CAP} GPUs in domains of 72", {"max_gpus": CAP, "domain_gpus": 72}),
        (f"at most {CAP} GPUs in domains of 8", {"max_gpus": CAP, "domain_gpus": 8}),
        ("at most 65,536 GPUs", {"max_gpus": 65_536}),
    )
    for name, limits in caps:
        call = lambda k=limits: match(prefill, decode, 1025, **k)  # noqa: E731
        call()
        rows.append(row(f"match, {name}", "collapse + proof", pairs, least_seconds(call), None))
    for name, limits in (("no cap", {}), (f"at most {CAP} GPUs", {"max_gpus": CAP})):
        call = lambda k=limits: match_frontier(prefill, decode, 1025, **k)  # noqa: E731
        rows.append(row(f"frontier, {name}", "all latencies", pairs, least_seconds(call, 3), None))
    return rows


def choose_first(rng: np.random.Generator, problems: int = 200) -> dict:
    """How often the two short cuts fail under a cap, over random problems.

    `rate`: take each pool's best rate per GPU, then match. `pareto`: keep designs that no design
    of at most their size beats in rate per GPU, then match.
    """
    worse = {"rate": [], "pareto": []}
    for _ in range(problems):
        prefill = random_pool(rng, 60, 1.0, 7, thirds=True)
        decode = random_pool(rng, 60, 10 ** rng.uniform(-1, 1), 7, thirds=True)
        ftl, ttl = np.exp(rng.normal(0, 0.5, 2))
        limits: dict[str, Any] = {
            "max_gpus": int(2 ** rng.uniform(4, 9)),
            "ftl_s": ftl,
            "ttl_s": ttl,
        }
        best = match(prefill, decode, 1025, **limits)
        if not isinstance(best, Match):
            continue
        for name in worse:
            short = _short_cut(prefill, ftl, name), _short_cut(decode, ttl, name)
            got = match(*short, 1025, **limits)
            worse[name].append(1.0 - got.value / best.value if isinstance(got, Match) else 1.0)
    return {
        name: {
            "problems": len(gaps), "infeasible_frac": float(np.mean(np.array(gaps) == 1.0)),
            "worse_by_1_percent_frac": float(np.mean(np.array(gaps) > 0.01)),
            "not_optimal_frac": float(np.mean(np.array(gaps) > 1e-9)),
            "mean_gap": float(np.mean(gaps)),
        }
        for name, gaps in worse.items()
    }  # fmt: skip


def _short_cut(pool: Pool, latency_s: float, name: str) -> Pool:
    index = usable(pool, latency_s)
    per_gpu = pool.requests_per_s[index] / pool.gpus[index]
    if name == "rate":
        index = index[[int(per_gpu.argmax())]]
    else:
        order = np.lexsort((-per_gpu, pool.gpus[index]))
        before = np.maximum.accumulate(np.concatenate([[0.0], per_gpu[order]]))[:-1]
        index = index[order[per_gpu[order] > before]]
    return Pool(pool.requests_per_s[index], pool.gpus[index], pool.latency_s[index])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    rows = [*one_by_one(rng), *collapsed(rng)]
    short_cuts = choose_first(rng)
    given.json.write_text(json.dumps({"speed": rows, "short_cuts": short_cuts}, indent=1) + "\n")
    for r in rows:
        print(f"{r['name']:60s} {r['form']:18s} {1e3 * r['seconds']:9.3f} ms", end=" ")
        print(f"{r['points_per_s'] / 1e6:12.1f} M pairs/s")
    print(short_cuts)


if __name__ == "__main__":
    main()
