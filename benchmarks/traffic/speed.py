"""How many requests a second does the simulator serve, with everything in it?

Cases: 20,000 requests on four co-located instances and on pools with caches of prefixes; the same
with eight seeds on two threads; one worker with 1,000 requests of 128 tokens; with `--day FILE`,
the day of a ServeGen archive; with `--process`, `jaxsim traffic` from its start, with an empty
cache and with a full one. Loops are the optimised ones, and in rows of their own those that are
compiled sooner and serve until the others pay. Compilation apart, and beside the seconds those of
the processor, which others on the machine do not lengthen; the law of step times is one of the
tests', as its numbers do not matter to the speed.
"""

import argparse
import concurrent.futures
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np

from jaxsim.traffic.policy.matching import Elastic
from jaxsim.traffic.policy.view import Static
from jaxsim.traffic.read.files import read_trace
from jaxsim.traffic.simulate import compiled
from jaxsim.traffic.simulate.fleet import Fleet
from jaxsim.traffic.simulate.run import simulate_run
from jaxsim.traffic.synthetic.load import load_of
from tests.traffic.laws import law, links

REPEATS = 3
COMMAND = (
    "traffic llama-3.1-8b --hardware h100 --engine vllm --ftl 2s --ttl 30ms --poisson 25 "
    "--duration 800s --isl lognormal:1000:0.8 --osl lognormal:300:0.7 --policy static "
    "--colocated tp=1,instances=4 --format json"
)


def best_s(function) -> tuple[float, float, float]:
    """Processor seconds of the first call beyond the later ones; wall and processor of the best."""
    begun = time.process_time()
    function()
    first = time.process_time() - begun
    seconds, busy = [], []
    for _ in range(REPEATS):
        begun, own = time.perf_counter(), time.process_time()
        function()
        seconds.append(time.perf_counter() - begun)
        busy.append(time.process_time() - own)
    return max(first - min(busy), 0.0), min(seconds), min(busy)


def process_s(cache: str) -> tuple[float, float]:
    """Wall and processor seconds of `jaxsim traffic` on 20,000 requests, from its start."""
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "XDG_CACHE_HOME": cache}
    subprocess.run(
        [sys.executable, "-m", "jaxsim", *COMMAND.split()],
        env=environment,
        check=True,
        capture_output=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - begun, busy


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
    small = drawn(1000, 50.0, isl="128", osl="128")
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
    parser.add_argument("--process", action="store_true")
    args = parser.parse_args()
    result = []
    device = platform.processor() or platform.machine()
    versions = {"jax": jax.__version__, "numpy": np.__version__}
    quickly = [
        (f"{name}, compiled sooner", *rest, np.inf)
        for name, *rest in cases(None)
        if "20,000" in name
    ]
    for name, count, function, many in [*quickly[:3], *((*one, 0) for one in cases(args.day))]:
        compiled.MANY_REQUESTS = many
        compiling, seconds, busy = best_s(function)
        result.append(
            {
                "name": name, "form": "event loop", "points": count, "seconds": seconds,
                "processor_s": busy, "points_per_s": count / seconds, "compile_s": compiling,
                "device": device, "versions": versions,
            }
        )  # fmt: skip
        print(
            f"{name}: {seconds:.3f} s ({busy:.3f} of the processor), {count / seconds:,.0f} "
            f"requests/s (+{compiling:.1f})",
            flush=True,
        )
    if args.process:
        with tempfile.TemporaryDirectory() as cache:
            for name in ("process, empty cache, 20,000 requests", "process, full cache"):
                seconds, busy = process_s(cache)
                result.append(
                    {
                        "name": name, "form": "process", "points": 20_000, "seconds": seconds,
                        "processor_s": busy, "points_per_s": 20_000 / seconds, "compile_s": 0.0,
                        "device": device, "versions": versions,
                    }
                )  # fmt: skip
                print(f"{name}: {seconds:.1f} s ({busy:.1f} of the processor)", flush=True)
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
