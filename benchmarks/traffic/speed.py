"""How many requests a second does the simulator serve, with everything in it?

Cases: 20,000 requests on four co-located instances and on pools with caches of prefixes; the same
with eight seeds on two threads; one worker with 1,000 requests of 128 tokens; with `--day FILE`,
the day of a ServeGen archive. Compilation apart; the law of step times is one of the tests', as its
numbers do not matter to the speed.
"""

import argparse
import concurrent.futures
import json
import platform
import time
from pathlib import Path

import jax
import numpy as np

from jaxsim.traffic.policy.matching import Elastic
from jaxsim.traffic.policy.view import Static
from jaxsim.traffic.read.files import read_trace
from jaxsim.traffic.simulate.fleet import Fleet
from jaxsim.traffic.simulate.run import simulate_run
from jaxsim.traffic.synthetic.load import load_of
from tests.traffic.laws import law, links

REPEATS = 3


def best_s(function) -> tuple[float, float]:
    """Seconds of the first call, which compiles, and of the best of the next ones."""
    begun = time.perf_counter()
    function()
    first = time.perf_counter() - begun
    seconds = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - begun)
    return first, min(seconds)


def cases(day: str | None):
    """Name, number of requests, and what to time."""
    mixed = Fleet(law(127), links(), {0: 1.0}, 0.0, 0.0)
    pools = Fleet(law(127), links(), {1: 1.0, 2: 1.0}, 0.0, 0.0)

    def drawn(count, rate, seed=0, isl="lognormal:1000:0.8", osl="lognormal:300:0.7"):
        load = load_of(requests_per_s=rate, duration_s=1.1 * count / rate, isl=isl, osl=osl)
        return load.drawn(seed).first(count)

    one = drawn(20_000, 9.0)
    yield (
        "20,000 requests, four co-located",
        len(one),
        lambda: simulate_run(one, mixed, {0: 4}, Static()),
    )
    yield (
        "20,000 requests, four and four",
        len(one),
        lambda: simulate_run(one, pools, {1: 4, 2: 4}, Static()),
    )
    yield (
        "20,000 requests, elastic pools",
        len(one),
        lambda: simulate_run(one, pools, {1: 2, 2: 2}, Elastic(), limits={1: (1, 4), 2: (1, 4)}),
    )
    seeds = [drawn(20_000, 9.0, seed) for seed in range(8)]

    def lanes():
        with concurrent.futures.ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda q: simulate_run(q, mixed, {0: 4}, Static()), seeds))

    yield "eight seeds of 20,000 on two threads", 8 * 20_000, lanes
    small = drawn(1000, 50.0, isl=128, osl=128)
    yield (
        "one worker, 1,000 requests of 128 tokens",
        1000,
        lambda: simulate_run(small, mixed, {0: 1}, Static()),
    )
    if day:
        whole = read_trace(day)
        yield "the day", len(whole), lambda: simulate_run(whole, mixed, {0: 8}, Static())


def main() -> None:
    """Time every case and write the list."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    parser.add_argument("--day")
    args = parser.parse_args()
    found = []
    for name, count, function in cases(args.day):
        first, seconds = best_s(function)
        found.append(
            {
                "name": name, "form": "event loop", "points": count, "seconds": seconds,
                "points_per_s": count / seconds, "compile_s": first - seconds,
                "device": platform.processor() or platform.machine(),
                "versions": {"jax": jax.__version__, "numpy": np.__version__},
            }
        )  # fmt: skip
        print(
            f"{name}: {seconds:.3f} s, {count / seconds:,.0f} requests/s (+{first - seconds:.1f})"
        )
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
