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
import argparse
import os
from jaxsim.view.cli import device
from jaxsim.view.cli.process import collect_seldom
collect_seldom()
if os.environ.get("JAX_PLATFORMS", "").startswith("cuda"):
    device.prepare(argparse.Namespace(device="gpu"))
import json
from benchmarks.speed.cases import GROUPS, case, size
from jaxsim.space.grid.best import stream_best
c = case({name!r})
axes = c.grid({points})
best = stream_best(c.fn, c.point, axes, GROUPS, objective=c.objective, valid=c.valid)
# The peak of this program alone: what `getrusage` says begins with its parent's.
with open("/proc/self/status") as status:
    used = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
print(json.dumps([size(axes), used / 1e6]), flush=True)
"""


def _run(command: list[str], cache: str) -> tuple[float, float, str]:
    """Seconds until the last line is printed, seconds until the exit, and what was printed."""
    env = {**os.environ, "JAX_COMPILATION_CACHE_DIR": cache, "JAXSIM_PROGRAMS": cache}
    env |= {
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
    }
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH")]))
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled
    with tempfile.TemporaryFile("w+") as errors:
        begin = time.perf_counter()
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=env, cwd=ROOT
        ) as process:
            assert process.stdout is not None
            lines, answered = [], begin
            for line in process.stdout:
                lines.append(line)
                answered = time.perf_counter()
        ended = time.perf_counter()
        if process.returncode:
            errors.seek(0)
            raise RuntimeError(f"{' '.join(command[:4])} … failed:\n{errors.read()[-2000:]}")
    return answered - begin, ended - begin, "".join(lines)


def process_forms(name: str, points: float) -> Iterator[tuple[Timing, float]]:
    """A streamed search from process start, cold and warm, with its peak memory in GB."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-c", STREAM.format(name=name, points=points)]
        for form in ("cold", "warm", "warm", "warm"):
            seconds, _, out = _run(command, cache)
            count, gigabytes = json.loads(out.splitlines()[-1])
            yield (
                Timing(name, f"process, best per workload, {form}", count, seconds, 0.0),
                gigabytes,
            )


CASE = ["deepseek-r1", "--hardware", "gb200-nvl72", "--ttl", "50ms", "--format", "json"]
VERBS = {
    "plan": ["plan", *CASE, "--isl", "16384", "--osl", "2048", "--ftl", "5s"],
    # 10⁹ designs, all of them different.
    "search": [
        "search", *CASE, "--phase", "decode",
        "--isl", "1024..65536:281", "--osl", "128..8192:281",
    ],
}  # fmt: skip


def verb_forms() -> Iterator[Timing]:
    """Verbs of the command line from process start to exit, first and second run."""
    for verb, words in VERBS.items():
        command = [sys.executable, "-m", "jaxsim", *words]
        with tempfile.TemporaryDirectory() as cache:
            for form in ("first run", "second run"):
                _, seconds, out = _run(command, cache)
                points = int(json.loads(out)["points_evaluated"])
                yield Timing(verb, f"jaxsim {verb}, {form}", points, seconds, 0.0)
