"""What does XLA make of the blocks of a search for a GPU?  Compiled here, without one."""

import functools
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
# Ten outputs are read and stored where all are kept, so bytes are against those stored.
BOUNDS = {
    "best": (26, 19.0),
    "extremes": (70, 70.0),
    "frontier": (130, 150.0),
}
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
    every = [sys.executable, "-m", "benchmarks.gpu.deviceless", "--points", "1e8"]
    some = "best,decode:best-8,decode:frontier,colocated:extremes,decode:stages,decode:stages-8"
    found = []
    for more in (["--chips", "h200", "--only", some], ["--chips", "b200", "--only", "decode:best"]):
        ran = subprocess.run(
            [*every, *more], cwd=ROOT, capture_output=True, text=True, check=False,
            env={**os.environ, "JAX_ENABLE_X64": "0", "PYTHONPATH": str(Path(COMPILER).resolve())},
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr[-2000:]
        found += json.loads(ran.stdout)
    return {(row["chip"], row["name"], row["form"]): row for row in found}


@needs_plugin
@pytest.mark.slow
def test_blocks_compile_for_gpus_with_few_launches_and_no_wait():
    for (chip, name, form), row in rows().items():
        where = f"{chip} {name} {form}: {row}"
        if form.startswith("stages"):
            alone = row["devices"] == 1
            assert not alone or row["bytes"] <= 2.0 * row["stored_bytes"], where
            continue
        launches, of_point = BOUNDS[form.partition("-")[0]]
        assert row["launches_per_step"] <= launches, where
        assert row["bytes_per_point"] <= of_point, where
        assert row["conditionals"] == row["dynamic_loops"] == 0, where
        # Eight devices share the same points: a step of each is as large as its block.
        assert row["devices"] > 1 or row["step_points"] >= 1e7, where
        # The frontier takes a sample by a floor; nothing of the physics is rounded so.
        assert form == "frontier" or not row["ceil_or_floor"], where
    assert {chip for chip, _, _ in rows()} == {"h200", "b200"}


@needs_plugin
@pytest.mark.slow
def test_eight_gpus_share_the_work_and_send_nothing():
    one, eight = (rows()["h200", "decode", form] for form in ("stages", "stages-8"))
    assert eight["stored_bytes"] <= one["stored_bytes"] / 6.0
    assert eight["bytes"] <= one["bytes"] / 6.0
    assert rows()["h200", "decode", "best-8"]["messages"] == eight["messages"] == []
