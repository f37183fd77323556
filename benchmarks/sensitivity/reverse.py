"""Does reverse mode in NumPy earn its place beside JAX's own?

    python -m benchmarks.sensitivity.reverse [--json FILE]

Derivatives of four outputs of a phase by every number of a scenario, at n winners, in three forms:

- reverse: `jaxsim.space.gradient`, in NumPy and 64 bits;
- program: `jax.vjp` traced once to a `Program`, kept in a file, evaluated in NumPy and 64 bits;
- compiled: the same `jax.vjp`, mapped over the winners and compiled by XLA in 32 bits, kept in
  JAX's cache of compiled programs.

Each in a process of its own: the first call with nothing kept, the first with files of an earlier
process, and later calls (the fastest of several).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.sensitivity.__main__ import OUTPUTS, axes_of
from jaxsim.catalog.setup import setup_of
from jaxsim.catalog.workload import Workload
from jaxsim.space.designs import PHASES, name_of
from jaxsim.space.gradient import derivative
from jaxsim.space.program import files
from jaxsim.space.program.evaluate import evaluate
from jaxsim.space.program.inputs import replace
from jaxsim.space.program.trace import Literal, Op, Program, trace

# Winners of each form; compiling takes minutes, whatever their number.
COUNTS = {"reverse": (1, 36, 560, 3136), "program": (1, 36, 560, 3136), "compiled": (36,)}
RUNS = 7


def winners(phase: str, count: int):
    """`count` designs of a phase, each of another workload, as a list of points on its axes."""
    draw = np.random.default_rng(0)
    axes = axes_of(phase, 56, 56)
    side = int(np.ceil(np.sqrt(count)))
    listed = []
    for name, where, values in axes:
        if name in ("isl", "osl"):
            few = values[np.linspace(0, len(values) - 1, min(side, len(values))).astype(int)]
            column = np.resize(few if name == "isl" else np.repeat(few, side), count)
        else:
            column = draw.choice(values[len(values) // 4 : len(values) // 2 + 1], count)
        listed.append((name, where, np.asarray(column, np.float64)))
    return listed


@dataclass(frozen=True)
class Gradient:
    """Outputs of a phase, and their derivatives by every number of the point, by `jax.vjp`."""

    phase: str

    def __call__(self, point) -> tuple[Any, ...]:
        def chosen(point):
            result = jax.tree_util.tree_flatten_with_path(PHASES[self.phase](point))[0]
            named = {name_of(path): value for path, value in result}
            return [named[name] for name in OUTPUTS[self.phase]]

        values, pull = jax.vjp(chosen, point)
        made = list(values)
        for i in range(len(values)):
            seeds = [jnp.full_like(v, float(i == k)) for k, v in enumerate(values)]
            (slopes,) = pull(seeds)
            made += jax.tree.leaves(slopes)
        return tuple(made)


def by_reverse(phase: str, scenario, listed):
    """The call of the package."""
    return lambda: derivative.slopes_of(PHASES[phase], scenario, listed, OUTPUTS[phase])


def by_program(phase: str, scenario, listed, kept: Path):
    """The gradient traced like a phase, read from its file if there is one."""
    fn, path = Gradient(phase), kept / f"{phase}.json"
    point = jax.tree.map(lambda leaf: np.ones((), np.float32), scenario)
    one = [(name, where, np.ones(1, np.float32)) for name, where, _ in listed]

    def call():
        program = programs.get(phase)
        if program is None:
            program = files.read(path, Program, Literal, Op)
            if program is None:
                program = trace(fn, point, one)
                files.write(path, program)
            programs[phase] = program
        numbered = jax.tree.unflatten(program.tree, range(len(program.outputs)))
        names = [name_of(at) for at, _ in jax.tree_util.tree_flatten_with_path(numbered)[0]]
        columns = [values for _, _, values in listed]
        leaves = [np.asarray(x, float) for x in jax.tree.leaves((columns, scenario))]
        wanted = derivative.wanted_of(program, tuple(names))
        values = dict(enumerate(leaves)) | wanted.constants
        with np.errstate(all="ignore"):
            evaluate(wanted.steps, values)
        return [np.asarray(values[number]) for number in wanted.seeds]

    programs: dict[str, Any] = {}
    return call


def by_compiled(phase: str, scenario, listed):
    """The gradient mapped over the winners and compiled."""
    point = jax.tree.map(lambda leaf: np.float32(leaf), scenario)
    columns = tuple(np.asarray(v, np.float32) for _, _, v in listed)
    one = jax.jit(
        jax.vmap(
            lambda chosen, point: Gradient(phase)(replace(point, listed, chosen)),
            in_axes=(0, None),
        )
    )
    return lambda: jax.block_until_ready(one(columns, point))


def measured(form: str, phase: str, count: int, kept: Path) -> dict[str, float]:
    """Seconds of the first call, and of the fastest later one, in this process."""
    setup = setup_of("deepseek-r1", "gb200-nvl72", engine="trtllm")
    scenario = setup.scenario(Workload(isl=8192.0, osl=1024.0))
    listed = winners(phase, count)
    forms = {
        "reverse": lambda: by_reverse(phase, scenario, listed),
        "program": lambda: by_program(phase, scenario, listed, kept),
        "compiled": lambda: by_compiled(phase, scenario, listed),
    }
    call, taken = forms[form](), []
    for _ in range(1 + RUNS):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return {"first_s": taken[0], "later_s": min(taken[1:])}


def in_process(form: str, phase: str, count: int, kept: Path) -> dict[str, float]:
    """The same in a process of its own, with the files that earlier ones kept in `kept`."""
    environment = os.environ | {
        "JAXSIM_PROGRAMS": str(kept),
        "JAX_COMPILATION_CACHE_DIR": str(kept / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PLATFORMS": "cpu",
    }
    arguments = ["--one", form, phase, str(count), str(kept)]
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.sensitivity.reverse", *arguments],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(ran.stdout)


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--phases", nargs="+", default=["decode", "colocated"])
    parser.add_argument("--one", nargs=4)
    args = parser.parse_args()
    if args.one:
        form, phase, count, kept = args.one
        print(json.dumps(measured(form, phase, int(count), Path(kept))))
        return
    rows = []
    for phase in args.phases:
        for form, counts in COUNTS.items():
            for count in counts:
                with tempfile.TemporaryDirectory() as folder:
                    cold = in_process(form, phase, count, Path(folder))
                    warm = in_process(form, phase, count, Path(folder))
                row = {
                    "phase": phase, "form": form, "winners": count,
                    "nothing_kept_s": cold["first_s"], "kept_s": warm["first_s"],
                    "later_s": min(cold["later_s"], warm["later_s"]),
                }  # fmt: skip
                rows.append(row)
                print(row, flush=True)
    if args.json is not None:
        args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
