"""How fast can this machine go: store and copy memory, and do arithmetic?"""

import os
import platform
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import jax
import jax.numpy as jnp
from jax import lax

from jaxsim._cores import cores

# Links of a chain of multiply-adds, elements and loops: on a CPU, on data that stays in the
# first-level cache; on a GPU, on enough for all its cores, with little memory traffic a link.
_CHAINS = {"cpu": (32, 4096, 2000), "gpu": (256, 1 << 24, 20)}
# Elements to copy: on a GPU, enough for a launch not to count.
_COPIED = {"cpu": 1 << 26, "gpu": 1 << 30}


def best_of(run, times: int = 5) -> float:
    """Seconds of the fastest of several runs."""
    best = float("inf")
    for _ in range(times):
        begin = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - begin)
    return best


def copy_bytes_per_s() -> float:
    """Bytes stored a second while copying, into memory that is reused."""

    @jax.jit
    def copied(old, x):
        del old
        return x + 0.0

    elements = _COPIED[_kind()]
    x = jnp.ones(elements, jnp.float32)
    reused = jax.jit(lambda old, x: x * 1.5, donate_argnums=0, keep_unused=True)
    state = [copied(x, x)]

    def run():
        state[0] = reused(state[0], x).block_until_ready()

    run()
    return 4.0 * elements / best_of(run)


def operations_per_s() -> float:
    """Multiplications and additions a second, in vectors, on all cores."""
    links, elements, loops = _CHAINS[_kind()]

    @jax.jit
    def chain(x, a):
        def again(_, x):
            for _ in range(links):
                x = x * a + a
            return x

        return lax.fori_loop(0, loops, again, x)

    x, a = jnp.ones(elements, jnp.float32), jnp.float32(0.5)
    chain(x, a).block_until_ready()
    workers = cores() if jax.default_backend() == "cpu" else 1
    with ThreadPoolExecutor(workers) as pool:

        def run():
            list(pool.map(lambda _: chain(x, a).block_until_ready(), range(workers)))

        return 2.0 * links * elements * loops * workers / best_of(run)


def _kind() -> str:
    return "cpu" if jax.default_backend() == "cpu" else "gpu"


def description() -> dict:
    """Device, versions and commit."""
    device = jax.devices()[0]
    here = os.path.dirname(__file__)
    result = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True
    )
    name = f"{cores()} cores, {_processor()}" if device.platform == "cpu" else device.device_kind
    packages = ("jax", "jaxlib", "numpy")
    return {
        "device": name,
        "versions": {"python": platform.python_version(), **{p: version(p) for p in packages}},
        "commit": result.stdout.strip() or "unknown",
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(x.split(":")[1].strip() for x in lines if x.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()
