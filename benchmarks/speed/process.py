"""How long does a whole process take, from its start to its answer, cold and warm?"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.speed.forms import Timing

ROOT = Path(__file__).parents[2]

STREAM = """
import json
from benchmarks.speed.cases import GROUPS, case, size
from jaxsim.space.stream import stream_best
c = case({name!r})
axes = c.grid({points})
best = stream_best(c.fn, c.point, axes, GROUPS, objective=c.objective, valid=c.valid)
# The peak of this program alone: what `getrusage` says begins with its parent's.
with open("/proc/self/status") as status:
    used = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
print(json.dumps([size(axes), used / 1e6]))
"""


def _run(command: list[str], cache: str) -> tuple[float, str]:
    env = {**os.environ, "JAX_COMPILATION_CACHE_DIR": cache, "JAXSIM_PROGRAMS": cache}
    env |= {
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
    }
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH")]))
    begin = time.perf_counter()
    ran = subprocess.run(command, capture_output=True, text=True, env=env, cwd=ROOT, check=False)
    seconds = time.perf_counter() - begin
    if ran.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} … failed:\n{ran.stderr[-2000:]}")
    return seconds, ran.stdout


def process_forms(name: str, points: float) -> Iterator[tuple[Timing, float]]:
    """A streamed search from process start, cold and warm, with its peak memory in GB."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-c", STREAM.format(name=name, points=points)]
        for form in ("cold", "warm", "warm"):
            seconds, out = _run(command, cache)
            count, gigabytes = json.loads(out.splitlines()[-1])
            yield (
                Timing(name, f"process, best per workload, {form}", count, seconds, 0.0),
                gigabytes,
            )


def plan_forms() -> Iterator[Timing]:
    """`jaxsim plan` of DeepSeek-R1 from process start, first and second run."""
    command = [
        sys.executable, "-m", "jaxsim", "plan", "deepseek-r1", "--hardware", "gb200-nvl72",
        "--isl", "16384", "--osl", "2048", "--ftl", "5s", "--ttl", "50ms", "--format", "json",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as cache:
        for form in ("first run", "second run"):
            seconds, out = _run(command, cache)
            points = int(json.loads(out)["points_evaluated"])
            yield Timing("plan", f"jaxsim plan, {form}", points, seconds, 0.0)
