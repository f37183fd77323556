"""Do the oldest and the newest versions of Python, JAX and the other dependencies work?

    python -m benchmarks.matrix [CASE…] [--python 3.12=PATH] [--json FILE] [--markdown FILE]

For each case an environment is made in a temporary folder, the working tree is installed in it as
a wheel, and a few verbs run. `oldest` pins every dependency of pyproject.toml to the least version
that is declared there; `newest` takes what the registry gives.
`docs/versions.md` holds the table of the last run.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHOWN = ("jax", "numpy", "xarray", "zarr", "matplotlib", "bokeh")
REQUEST = ("--hardware", "h100", "--isl", "1024", "--osl", "128", "--ftl", "1s", "--ttl", "20ms",
           "--tp", "1", "--pp", "1", "--batch", "1,16,64", "--chunk", "1024")  # fmt: skip
SWEEP = """\
model: llama-3.1-8b
hardware: h100
workload: {isl: [1024], osl: [128]}
space: {tp: [1], pp: [1], batch: [1, 16, 64], chunk: [1024]}
"""
DRAWN = """\
import jaxsim
space = jaxsim.Space(tp=(1,), pp=(1,), batch=(1, 16, 64), chunk=(1024,))
work = jaxsim.Workload(1024, 128)
plan = jaxsim.plan("llama-3.1-8b", "h100", work, ftl_s=1, ttl_s=0.02, space=space)
for draw in (jaxsim.draw_frontier, jaxsim.draw_breakdown, jaxsim.draw_ratio):
    draw(plan, "paper").figure.savefig("picture.png")
"""
# What is run, in order: a name, and the arguments of jaxsim, or of Python after `-c`.
STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("plan", ("plan", "llama-3.1-8b", *REQUEST, "-o", "plan", "--format", "json")),
    ("estimate", ("estimate", "llama-3.1-8b", "--hardware", "h100", "--isl", "1024",
                  "--osl", "128", "--phase", "decode", "--tp", "1", "--batch", "16")),
    ("search", ("search", "llama-3.1-8b", "--hardware", "h100", "--phase", "decode",
                "--isl", "1024,2048", "--osl", "128", "--ttl", "20ms")),
    ("sensitivity", ("sensitivity", "llama-3.1-8b", *REQUEST, "--levers", "1")),
    ("sweep", ("sweep", "space.yaml", "-o", "space.zarr")),
    ("frontier", ("frontier", "space.zarr", "--ftl", "1s")),
    ("deploy", ("deploy", "plan/plan.json", "--target", "vllm", "-o", "deployed")),
    ("pictures", ("-c", DRAWN)),
)  # fmt: skip
WHOLE_S = 900  # a step may take


@dataclass(frozen=True)
class Case:
    """An environment: which Python, and whether everything is at its least version."""

    name: str
    python: str
    oldest: bool = False


CASES = (
    Case("oldest", "3.11", oldest=True),
    Case("newest-3.11", "3.11"),
    Case("newest-3.12", "3.12"),
    Case("newest-3.13", "3.13"),
)


@dataclass
class Found:
    """What a case gave: versions, the state of every step, and the plan's throughput."""

    case: str
    python: str
    versions: dict[str, str] = field(default_factory=dict)
    steps: dict[str, str] = field(default_factory=dict)
    output_tokens_per_s_per_gpu: float | None = None
    seconds: float = 0.0


def least_versions() -> Iterator[str]:
    """Pins of every declared dependency at the least version that is allowed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for text in (*project["dependencies"], *project["optional-dependencies"]["sweep"]):
        match = re.fullmatch(r"([A-Za-z0-9_.-]+)>=([0-9.]+)", text)
        if match is None:
            raise SystemExit(f"{text!r}: a dependency is declared as NAME>=VERSION")
        yield f"{match[1]}=={match[2]}"


def python_of(version: str, given: Sequence[str]) -> str | None:
    """The interpreter of a version: one that was given, or the one of that name."""
    named = dict(one.split("=", 1) for one in given)
    return named.get(version) or shutil.which(f"python{version}")


def run_case(case: Case, python: str, wheel: Path, folder: Path) -> Found:
    """Make the environment, and run the steps in it; the first that fails does not end it."""
    result, started = Found(case.name, case.python), time.monotonic()
    own = folder / case.name
    subprocess.run([python, "-m", "venv", own / "venv"], check=True)
    pip = [str(own / "venv/bin/python"), "-m", "pip", "install", "--quiet", "--no-compile",
           "--disable-pip-version-check"]  # fmt: skip
    pins = list(least_versions()) if case.oldest else ["zarr"]
    installed = subprocess.run(
        [*pip, str(wheel), *pins], cwd=own, env=_environment(own), capture_output=True, text=True
    )
    if installed.returncode:
        result.steps["install"] = _last(installed.stderr)
        return result
    code = f"import importlib.metadata as m; print(*[m.version(n) for n in {SHOWN!r}])"
    told = _run(own, ("-c", code))
    result.versions = dict(zip(SHOWN, told.stdout.split(), strict=True))
    (own / "space.yaml").write_text(SWEEP, encoding="utf-8")
    for name, arguments in STEPS:
        done = _run(own, arguments)
        result.steps[name] = "ok" if done.returncode == 0 else _last(done.stderr)
        if name == "plan" and done.returncode == 0:
            plan = json.loads(done.stdout)
            best = plan[plan["recommended"]]
            result.output_tokens_per_s_per_gpu = best["output_tokens_per_s_per_gpu"]
    result.seconds = round(time.monotonic() - started, 1)
    return result


def _run(own: Path, arguments: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """One step in the folder of a case, with a cache of its own."""
    start = [] if arguments[0] == "-c" else ["-m", "jaxsim"]
    return subprocess.run(
        [str(own / "venv/bin/python"), *start, *arguments], cwd=own, capture_output=True, text=True,
        timeout=WHOLE_S, env=_environment(own),
    )  # fmt: skip


def _environment(own: Path) -> dict[str, str]:
    """The environment of a case, without this working tree, and with a cache of its own."""
    hidden = ("PYTHONPATH", "XDG_CACHE_HOME")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    return {**kept, "XDG_CACHE_HOME": str(own / "cache"), "MPLBACKEND": "Agg"}


def _last(text: str) -> str:
    """The last line of an error, short."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return (lines[-1] if lines else "no message")[:160]


def table(results: Sequence[Found]) -> str:
    """The results as Markdown."""
    steps = [name for name, _ in STEPS]
    lines = ["| | " + " | ".join(one.case for one in results) + " |",
             "|---|" + "---|" * len(results),
             "| Python | " + " | ".join(one.python for one in results) + " |"]  # fmt: skip
    for name in SHOWN:
        lines.append(f"| {name} | " + " | ".join(r.versions.get(name, "–") for r in results) + " |")
    for name in steps:
        cells = [r.steps.get(name) or r.steps.get("install", "–") for r in results]
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    speeds = [r.output_tokens_per_s_per_gpu for r in results]
    shown = ["–" if y is None else f"{y:.4f}" for y in speeds]
    lines.append("| tokens/s/GPU of the plan | " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run the cases; status 1 if any step of any failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(c.name for c in CASES))
    parser.add_argument("--python", action="append", default=[], metavar="VERSION=PATH")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    args = parser.parse_args()
    results: list[Found] = []
    with tempfile.TemporaryDirectory(prefix="jaxsim-matrix-") as place:
        folder = Path(place)
        build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT]
        subprocess.run(build, check=True)
        wheel = next(folder.glob("*.whl"))
        for case in CASES:
            python = python_of(case.python, args.python)
            if args.cases and case.name not in args.cases:
                continue
            if python is None:
                print(f"{case.name}: no Python {case.python} here", file=sys.stderr)
                continue
            results.append(run_case(case, python, wheel, folder))
            shutil.rmtree(folder / case.name)
            print(table(results[-1:]), flush=True)
    if args.json:
        args.json.write_text(json.dumps([asdict(one) for one in results], indent=1) + "\n")
    if args.markdown:
        args.markdown.write_text(table(results))
    failed = [one for one in results if set(one.steps.values()) != {"ok"}]
    return 1 if failed or not results else 0


if __name__ == "__main__":
    raise SystemExit(main())
