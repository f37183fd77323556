"""Odd environment variables, and a process of `jaxsim` that has them."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.fuzz.judge import Verdict, faults_of
from benchmarks.fuzz.values import text

ROOT = Path(__file__).parents[2]
# What jaxsim and what it stands on read, and what else is often set.
NAMES = (
    "JAXSIM_CACHE", "JAXSIM_CACHE_MB", "JAXSIM_DEBUG", "JAXSIM_PROGRAMS", "XDG_CACHE_HOME", "HOME",
    "JAX_PLATFORMS", "JAX_ENABLE_X64", "JAX_COMPILATION_CACHE_DIR", "XLA_FLAGS", "COLUMNS", "LINES",
    "TERM", "NO_COLOR", "LANG", "LC_ALL", "TZ", "PYTHONIOENCODING", "PYTHONUTF8", "TMPDIR",
    "MPLBACKEND", "OMP_NUM_THREADS", "SOURCE_DATE_EPOCH",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS",
)  # fmt: skip
# Values of some of them that are meant, or nearly.
VALUES = {
    "JAX_PLATFORMS": ("cpu", "cuda", "gpu,cpu", "tpu", "cpu,cpu"),
    "XLA_FLAGS": ("--xla_force_host_platform_device_count=2", "--no_such_flag=1", "x"),
    "COLUMNS": ("20", "1", "0", "-5", "1000000"), "TERM": ("dumb", "xterm"),
    "PYTHONIOENCODING": ("ascii", "latin-1", "utf-8:strict", "ascii:strict"),
    "LC_ALL": ("C", "C.UTF-8", "de_DE.UTF-8", "tr_TR.UTF-8"), "PYTHONUTF8": ("0", "1"),
    "JAX_ENABLE_X64": ("1", "0", "true"), "JAXSIM_CACHE": ("off", "0", "no"),
    "HOME": ("", "/nonexistent", "/dev/null", "."), "XDG_CACHE_HOME": (".", "/dev/null", "/proc"),
    "TMPDIR": (".", "/nonexistent"),
}  # fmt: skip
# Set to nonsense, Python or JAX itself does not start, whatever it runs.
NOT_OURS = ("unknown encoding", "Fatal Python error", "Unknown flag", "Unknown command line flag")
LINES = (
    (10.0, ["cache"]), (10.0, ["hardware", "h100"]), (3.0, ["schema", "plan"]),
    (3.0, ["models", "llama-3.1-8b", "--format", "json"]),
    (2.0, ["estimate", "llama-3.1-8b", "--hardware", "h100", "--isl", "1024", "--osl", "128",
           "--phase", "decode", "--tp", "1", "--batch", "8"]),
    (1.0, ["plan", "llama-3.1-8b", "--hardware", "h100", "--isl", "1024", "--osl", "128", "--ftl",
           "2s", "--ttl", "50ms", "--tp", "1", "--pp", "1", "--batch", "4,8", "--chunk", "512",
           "--prefill-batch", "1", "-o", "out"]),
)  # fmt: skip


def surrounding_of(chosen: random.Random) -> tuple[dict[str, str], list[str]]:
    """Variables that are changed, and a command line."""
    made = {}
    for name in chosen.sample(NAMES, chosen.choice((1, 1, 2, 4))):
        value = chosen.choice(VALUES.get(name, ("1",)))
        if chosen.random() < 0.5:
            value = text(chosen).replace("\0", "").encode("utf-8", "replace").decode()
        made[name] = value[:20_000]
    lines = [line for _, line in LINES]
    return made, chosen.choices(lines, [weight for weight, _ in LINES])[0]


def judged_surrounding(made: dict[str, str], line: list[str], folder: Path) -> Verdict:
    """The verdict on a process with these variables."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **made}
    command = [sys.executable, "-m", "jaxsim", *line]
    started = time.perf_counter()
    try:
        done = subprocess.run(
            command, cwd=folder, env=env, capture_output=True, timeout=100.0, check=False
        )
    except subprocess.TimeoutExpired:
        return Verdict("hang", time.perf_counter() - started, ["hang"], f"{made} {line}")
    told, said = (one.decode("utf-8", "replace") for one in (done.stdout, done.stderr))
    seconds = time.perf_counter() - started
    if any(words in said for words in NOT_OURS):
        return Verdict("not ours", seconds, [], said[-500:])
    faults = faults_of(line, done.returncode, told, said)
    if made.get("JAXSIM_DEBUG") == "1":
        faults = [one for one in faults if "traceback is shown" not in one]
    detail = f"{made} {line}\n{told[-500:]}\n{said[-2500:]}"
    return Verdict(done.returncode, seconds, faults, detail)
