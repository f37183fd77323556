"""Which device does a run of the command line use, and what is it called?

Small work is done sooner on the CPU: a GPU has to be started, and its programs compiled, first.
"""

import argparse
import os
import sys

from jaxsim._cores import cores
from jaxsim.catalog.errors import InputError
from jaxsim.view.cli.options import Options

# What one CPU core evaluates in a second, and what the start of a GPU takes, as measured by
# `benchmarks/speed` and `benchmarks/gpu`: beyond their product a GPU pays.
CORE_DESIGNS_PER_S = 3e8
GPU_START_S = 1.0


def prepare(args: argparse.Namespace) -> None:
    """Before JAX is imported: no preallocation; verbs without `--device` never start a GPU.

    A GPU's memory is shared with whoever else works on it. What the user set stays.
    """
    if "jax" in sys.modules:
        return
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if not hasattr(args, "device"):
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
    elif args.device == "gpu":
        wake()


def wake() -> None:
    """Start the first NVIDIA GPU on another thread, while Python still imports.

    JAX asks for the same context later and finds it made: 0.2 s sooner on an H200. Does nothing
    where there is no driver.
    """
    import ctypes
    import threading

    def start() -> None:
        try:
            driver = ctypes.CDLL("libcuda.so.1")
        except OSError:
            return
        first, context = ctypes.c_int(), ctypes.c_void_p()
        if driver.cuInit(0) == 0 and driver.cuDeviceGet(ctypes.byref(first), 0) == 0:
            driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), first)

    threading.Thread(target=start, daemon=True).start()


def add_option(parser: Options) -> None:
    """`--device`."""
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "gpu"),
        default="auto",
        help="auto: a GPU, or all of them, if there is one and the designs are many enough to pay "
        "for its start",
    )


def pays(designs: float) -> bool:
    """Whether so many designs take the CPU longer than a GPU takes to start."""
    return designs > CORE_DESIGNS_PER_S * cores() * GPU_START_S


def use(wanted: str, designs: float) -> str:
    """Let JAX use the device that is wanted, or that suits so many designs; its name."""
    import jax

    given = os.environ.get("JAX_PLATFORMS", "")
    if wanted == "cpu" or (wanted == "auto" and not given and not pays(designs)):
        jax.config.update("jax_platforms", "cpu")
    if wanted == "gpu" and jax.default_backend() == "cpu":
        held = f"JAX_PLATFORMS={given} keeps it away; unset it" if given else "JAX finds none"
        raise InputError(
            f"--device gpu: {held}. With an NVIDIA GPU, `pip install 'jaxsim-inference[cuda]'` "
            "installs what JAX needs; --device cpu works anywhere."
        )
    return name()


def name() -> str:
    """What results say they were evaluated on."""
    import jax

    devices = jax.local_devices()
    if devices[0].platform == "cpu":
        return "1 CPU core" if cores() == 1 else f"{cores()} CPU cores"
    kind = devices[0].device_kind
    return kind if len(devices) == 1 else f"{len(devices)} × {kind}"
