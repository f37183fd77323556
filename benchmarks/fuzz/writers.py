"""Every verb that writes files, what it is given, and a process in which it need not evaluate.

Where kills and full disks are tried, what counts is the writing: what a verb computes before it
writes is computed once and held.
"""

import contextlib
import functools
import importlib
import io
import json
import os
import tomllib
from pathlib import Path
from typing import Any

from benchmarks.fuzz import documents

MODEL = ["llama-3.1-8b", "--hardware", "h100", "--isl", "1024", "--osl", "128", "--ttl", "50ms"]
AXES = ["--tp", "1", "--pp", "1", "--batch", "4,8"]
SMALL = [*MODEL, *AXES, "--ftl", "2s", "--chunk", "512", "--prefill-batch", "1"]
SEARCH = ["search", *MODEL, *AXES, "--phase", "decode"]
SWEEP = """\
model: llama-3.1-8b
hardware: h100
workload: {isl: [512], osl: [64, 128]}
space: {tp: [1], pp: [1], batch: [1, 16], chunk: [512], prefill_batch: [1]}
phases: [decode]
block_workloads: 1
"""
_LOAD = ["llama-3.1-8b", "--poisson", "5", "--duration", "10s", "--isl", "100", "--osl", "10",
         "--hardware", "h100", "--ftl", "2s", "--ttl", "50ms", "--colocated", "tp=1"]  # fmt: skip
COMMANDS: dict[str, list[str]] = {
    "plan": ["plan", *SMALL, "-o", "out"],
    "plan, JSON": ["plan", *SMALL, "-o", "out", "--format", "json"],
    "search, NetCDF": [*SEARCH, "-o", "out.nc"],
    "search, CSV": [*SEARCH, "-o", "out.csv"],
    "sensitivity": ["sensitivity", *SMALL, "--levers", "2", "-o", "out"],
    "traffic": ["traffic", *_LOAD, "--policy", "static", "-o", "out"],
    "best": ["sweep", "space.yaml", "-o", "out.nc", "--best", "1"],
    "deploy": ["deploy", "plan.json", "--target", "vllm", "-o", "deployed"],
    "import": ["import", "model", "config.json", "-o", "out.toml"],
    "calibrate": ["calibrate", "kernels.csv", "--chip", "h100", "-o", "out.toml"],
}
# Enough rows for a fit: 6 us, and twice the message over a link of 400 GB/s.
_ALL_REDUCES = (
    documents.KERNELS.partition("\n")[0]
    + "\n"
    + "".join(
        f'custom_all_reduce,"{ranks} GPUs; message_size={2**power}",bf16,H100,latency,'
        f"{6.0 + 2.0 * 2**power * (ranks - 1) / ranks / 4e5:.3f},us,,measured,\n"
        for ranks in (2, 4, 8)
        for power in range(8, 28)
    )
)
SWEPT = {"sweep": ["sweep", "space.yaml", "-o", "out.zarr"]}
# What is computed before it is written, by module.
COMPUTED = {
    "jaxsim.view.cli.verbs.plan": ("solve",),
    "jaxsim.view.cli.verbs.search": ("solve",),
    "jaxsim.view.cli.verbs.sensitivity": ("solve",),
    "jaxsim.api.simulate": ("simulate",),
    "jaxsim.api.search": ("searched",),
    "jaxsim.truth.kernels.calibrate": ("fitted_text",),
    "jaxsim.view.files.sweep_config": ("read_sweep",),
    "jaxsim.view.files.store": ("evaluate_block", "fitting"),
    "jaxsim.view.files.plan": (
        "evidence_of", "frontier_dataset", "draw_frontier", "draw_breakdown", "image",
        "render_report",
    ),
    "jaxsim.view.files.sensitivity": (
        "sensitivity_dataset", "draw_tornado", "resources_figure", "image",
    ),
    "jaxsim.view.figures.timeline": ("draw_timeline",),
    "jaxsim.view.figures.style": ("image",),
}  # fmt: skip


def put_files(folder: Path, sweep: str = SWEEP) -> dict[Path, bytes]:
    """The files that the commands name, written into a folder; their contents."""
    plan = documents.ROOT / documents.PLANS / "dense.json"
    made = {"space.yaml": sweep.encode(), "plan.json": plan.read_bytes(),
            "config.json": json.dumps(documents.CONFIG).encode(),
            "kernels.csv": _ALL_REDUCES.encode()}  # fmt: skip
    for name, content in made.items():
        (folder / name).write_bytes(content)
    return {folder / name: content for name, content in made.items()}


def warmed(commands: dict[str, list[str]], folder: Path, sweep: str = SWEEP) -> None:
    """Run every command once, and hold what it computes for this process and its children."""
    from jaxsim.view.cli.main import main

    for module, names in COMPUTED.items():
        for name in names:
            _hold(importlib.import_module(module), name)
    os.environ["JAXSIM_CACHE"] = "off"  # children write only what is asked for
    put_files(folder, sweep)
    home = os.getcwd()
    os.chdir(folder)
    for name, argv in commands.items():
        with contextlib.redirect_stdout(io.StringIO()):
            status = main(argv)
        if status != 0:
            raise SystemExit(f"{name} fails")
    os.chdir(home)


_HELD: dict[tuple[object, ...], Any] = {}


def _hold(module: Any, name: str) -> None:
    """Let a function return what it returned before for the same texts, block and held objects."""
    function = getattr(module, name)
    if hasattr(function, "__wrapped__"):
        return

    @functools.wraps(function)
    def first(*args: Any, **keywords: Any) -> Any:
        known = {id(one) for one in _HELD.values()}
        told = [one for one in args if isinstance(one, str) or type(one).__name__ == "Block"]
        words = [os.path.basename(str(one)) for one in told]  # a file is the same in any folder
        key = (module.__name__, name, *words, *({id(one) for one in args} & known))
        if key not in _HELD:
            _HELD[key] = function(*args, **keywords)
        return _HELD[key]

    setattr(module, name, first)


def whole(path: Path) -> bool:
    """Whether a file under its final name is complete."""
    raw = path.read_bytes()
    if path.suffix == ".json":
        return isinstance(json.loads(raw), dict)
    if path.suffix == ".toml":
        return bool(tomllib.loads(raw.decode())) and raw.endswith(b"\n")
    if path.suffix == ".nc":
        import xarray as xr

        xr.load_datatree(path, engine="h5netcdf")
        return True
    ends = {".png": b"IEND\xaeB`\x82", ".html": b"</html>"}
    return raw.rstrip().endswith(ends.get(path.suffix, b"")) and bool(raw)
