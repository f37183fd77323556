"""What does XLA make of the blocks of a search for a GPU?  Compiled here, without one."""

import functools
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu.hlo import counts_of

ROOT = Path(__file__).parents[3]
# A folder of their own, since JAX complains of a plugin without a device wherever it sees one:
# pip install --no-deps --target FOLDER jax-cuda13-plugin==V jax-cuda13-pjrt==V, V that of jaxlib.
COMPILER = os.environ.get("JAXSIM_GPU_COMPILER", "")
needs_plugin = pytest.mark.skipif(
    not (Path(COMPILER) / "jax_plugins").is_dir(),
    reason="JAXSIM_GPU_COMPILER names no folder with jax-cuda13-plugin and jax-cuda13-pjrt",
)

# Launches of a step and bytes of a point, at most: what was reached, with a tenth to spare.
BOUNDS = {
    "best": (24, 19.0),
    "top": (26, 14.0),
    "extremes": (70, 70.0),
    "frontier": (117, 145.0),
}
# Where every output is kept: bytes moved over bytes stored. A stage reads what others stored;
# prefill stores least, since few of its outputs depend on every axis.
MOVED = {"decode": 1.75, "prefill": 3.4, "colocated": 1.9}
LAUNCHES = {"decode": 20, "prefill": 30, "colocated": 54}
# Every form on one chip, and on another the two that are searched and kept most often, of every
# phase; `python -m benchmarks.gpu.deviceless --chips h200,b200` compiles all on both.
FORMS = ("best", "top", "extremes", "frontier", "stages")
COMPILED = (
    *itertools.product(("h200",), ("decode",), (*FORMS, "best-8", "stages-8")),
    *itertools.product(("b200",), ("prefill", "colocated"), ("best", "stages")),
)
TEXT = """HloModule small

%body (state: (s32[], f32[8])) -> (s32[], f32[8]) {
  %state = (s32[], f32[8]) parameter(0)
  %x = f32[8]{0} get-tuple-element(%state), index=1
  %i = s32[] get-tuple-element(%state), index=0
  %y = f32[8]{0} fusion(%x), kind=kLoop, calls=%twice
  ROOT %next = (s32[], f32[8]) tuple(%i, %y)
}

%twice (a: f32[8]) -> f32[8] {
  %a = f32[8]{0} parameter(0)
  ROOT %sum = f32[8]{0} add(%a, %a)
}

ENTRY %main (p: f32[8]) -> f32[8] {
  %p = f32[8]{0} parameter(0)
  %zero = s32[] constant(0)
  %first = (s32[], f32[8]) tuple(%zero, %p)
  %loop = (s32[], f32[8]) while(%first), body=%body, config={"known_trip_count":{"n":"5"}}
  %open = (s32[], f32[8]) while(%loop), body=%body
  ROOT %out = f32[8]{0} get-tuple-element(%open), index=1
}
"""


def test_launches_and_bytes_are_counted_through_loops():
    counts = counts_of(TEXT)
    assert counts.launches == 5 + 1  # a loop of unknown length counts once
    assert counts.dynamic_loops == 1
    assert counts.bytes == 6 * 2 * 8 * 4
    assert {"while", "fusion"} <= counts.kinds


@functools.cache
def rows() -> dict[tuple[str, str, str], dict]:
    """One process for all: what JAX says of a plugin without a device stays there."""
    some = ["--points", "1e8", "--chips", "h200,b200", "--only", ",".join(map(":".join, COMPILED))]
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu.deviceless", *some],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "JAX_ENABLE_X64": "0", "PYTHONPATH": str(Path(COMPILER).resolve())},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-2000:]
    return {(row["chip"], row["name"], row["form"]): row for row in json.loads(ran.stdout)}


@needs_plugin
@pytest.mark.slow
def test_blocks_compile_for_gpus_with_few_launches_and_no_wait():
    assert set(rows()) == set(COMPILED)
    for (chip, name, form), row in rows().items():
        where = f"{chip} {name} {form}: {row}"
        kind, _, several = form.partition("-")
        assert row["conditionals"] == row["dynamic_loops"] == 0, where
        # Values outside of registers are read again; prefill has some.
        kept = kind not in ("best", "top") or name == "prefill"
        assert kept or not row["spills"], where
        assert not several or row["messages"] == [], where
        if kind == "stages":
            assert row["bytes"] <= MOVED[name] * row["stored_bytes"], where
            assert row["launches"] <= LAUNCHES[name], where
            continue
        launches, of_point = BOUNDS[kind]
        assert row["launches_per_step"] <= launches, where
        assert row["bytes_per_point"] <= of_point, where
        # Eight devices share the same points: a step of each is as large as its block.
        assert several or row["step_points"] >= 1e7, where
        # The frontier takes a sample by a floor; nothing of the physics is rounded so.
        assert kind == "frontier" or not row["ceil_or_floor"], where


@needs_plugin
@pytest.mark.slow
def test_eight_gpus_share_the_bytes():
    one, eight = (rows()["h200", "decode", form] for form in ("stages", "stages-8"))
    assert eight["stored_bytes"] <= one["stored_bytes"] / 6.0
    assert eight["bytes"] <= one["bytes"] / 6.0
