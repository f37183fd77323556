"""What do the measured kernel tables hold of layers with a state?

    python -m jaxsim.truth.kernels.tables_state FOLDER [CHIP…]

fits the kernels of recurrent layers, and of those that select what they attend to
(`tables_selected`), to the tables beneath FOLDER (`systems/data` of `aiconfigurator-core`) and
writes `catalog/data/states/CHIP.toml`.

Several engines were measured. Faults are dealt with by rules that do not look at residuals:
repeats are reduced to the fastest; launches that contradict others, and splits of which many do,
are not fitted (`doubts`); a table of launches that pass their bytes faster than the memory's peak
is left out (some steps and convolutions of TensorRT-LLM's); of the rest the most consistent is
taken.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from jaxsim.catalog._calibration_kinds import STATES
from jaxsim.catalog.calibration import STATE_KINDS, load_calibration
from jaxsim.catalog.load import load_hardware
from jaxsim.catalog.recurrent import STATE_BYTES
from jaxsim.point.work import Convolution, StateScan, StateStep
from jaxsim.truth.kernels.calibrate import fit_all
from jaxsim.truth.kernels.doubts import doubtful_rows
from jaxsim.truth.kernels.file import calibration_text
from jaxsim.truth.kernels.frames import columns_of, distinct, rows_of
from jaxsim.truth.kernels.rows import KernelRows, stacked
from jaxsim.truth.kernels.tables import FOLDERS, PACKAGE, Tables
from jaxsim.truth.kernels.tables_selected import hyper_rows, selected_rows

if TYPE_CHECKING:
    from pandas import DataFrame

ENGINES = ("sglang", "vllm", "trtllm")
IMPOSSIBLE = 0.01  # of a table's launches, faster than memory can be: what ran is another thing
LAST_CACHE_BYTES = 2e8  # what a repeated launch may find there is not more than this
FEW = 0.1  # of another table's launches: too few to be preferred
_SHAPE = ["num_k_heads", "head_k_dim", "num_v_heads", "head_v_dim"]
_WIDE = 2.0
_DELTA_FLOP, _CHUNK, _PRODUCTS = 7.0, 64.0, 2.0


State = TypeVar("State", StateStep, StateScan)


def _state(form: type[State], table: "DataFrame", **more: float) -> State:
    batch, length, heads, keys, values = columns_of(
        table, "batch_size", "seq_len", "num_v_heads", "head_k_dim", "head_v_dim"
    )
    return stacked(
        form,
        sequences=batch,
        queries=length,
        heads=heads,
        key_dim=keys,
        value_dim=values,
        flop_per_state=_DELTA_FLOP,
        state_bytes_per_element=STATE_BYTES,
        activation_bytes_per_element=_WIDE,
        **more,
    )


def _kernels(table: "DataFrame", phase: str, *words: str) -> "DataFrame":
    """Launches of one phase whose kernel's name has one of the words, the fastest of repeats."""
    named = np.zeros(len(table), dtype=bool)
    for word in words:
        named |= table["kernel_source"].str.contains(word).to_numpy()
    chosen = table.loc[named & (table["phase"] == phase).to_numpy()]
    return distinct(chosen, [*_SHAPE, "batch_size", "seq_len"])


def _sound(rows: KernelRows) -> KernelRows:
    """The rows, those marked that took longer than launches of at least as much work."""
    work = rows.work
    if not isinstance(work, StateStep | StateScan | Convolution):
        raise TypeError(f"{type(work).__name__} is no work on states")
    wide = np.asarray(work.channels if isinstance(work, Convolution) else work.heads)
    more = (np.asarray(work.sequences), np.asarray(work.queries), wide)
    every = np.ones(len(rows), dtype=bool)
    doubtful = doubtful_rows(rows.seconds, more, (), np.zeros(len(rows)), wide, every)
    return replace(rows, doubtful=doubtful)


def _candidates(tables: Tables, op: str, name: str, family: str) -> Iterator[KernelRows]:
    """Steps, scans and convolutions by each engine that was measured."""
    for engine in ENGINES:
        if (launches := tables.read(op, name, engine)) is None:
            continue
        table, where = launches
        steps = _kernels(table, "generation", "recurrent")
        if len(steps):
            work = _state(StateStep, steps)
            yield _sound(rows_of(f"{family}_step", "any", work, steps, _SHAPE, where))
        scans = _kernels(table, "context", "chunk_")
        if len(scans):
            work = _state(StateScan, scans, chunk=_CHUNK, products=_PRODUCTS)
            yield _sound(rows_of(f"{family}_scan", "any", work, scans, _SHAPE, where))
        if family == "delta":
            yield convolution_rows(table, where)


def state_rows(tables: Tables, hbm_bytes_per_s: float) -> Iterator[KernelRows]:
    """Of each kernel the engine's table with the fewest contradictions, of those that can be."""
    best: dict[str, KernelRows] = {}
    for op, name, family in (("linear_attention", "gdn", "delta"), ("kda", "kda", "kda")):
        for rows in _candidates(tables, op, name, family):
            moved = np.asarray(rows.work.hbm_bytes)  # type: ignore[union-attr]
            large = moved > LAST_CACHE_BYTES
            too_fast = large & (moved > rows.seconds * hbm_bytes_per_s)
            if too_fast.sum() > IMPOSSIBLE * max(large.sum(), 1):
                continue
            held = best.get(rows.kind)
            few = held is not None and len(rows) < FEW * len(held)
            if held is None or (not few and rows.sound.mean() > held.sound.mean()):
                best[rows.kind] = rows
    yield from best.values()


def convolution_rows(table: "DataFrame", where: str) -> KernelRows:
    """The convolution over queries, keys and values, of prompts."""
    some = _kernels(table, "context", "conv1d")
    batch, length, groups, keys, heads, values = columns_of(
        some, "batch_size", "seq_len", "num_k_heads", "head_k_dim", "num_v_heads", "head_v_dim"
    )
    work = stacked(
        Convolution,
        sequences=batch,
        queries=length,
        channels=2.0 * groups * keys + heads * values,
        kept=3.0,
        activation_bytes_per_element=_WIDE,
    )
    return _sound(rows_of("convolution", "any", work, some, _SHAPE, where))


def main() -> None:
    """Fit the chips named, or all, and write their files."""
    root, names = Path(sys.argv[1]), sys.argv[2:] or [chip for chip in FOLDERS if chip != "a100"]
    for name in names:
        card = load_hardware(name)
        hbm = float(card.hardware.chip.hbm_bytes_per_s)
        tables = Tables(root, name)
        rows = [
            *state_rows(tables, hbm),
            *selected_rows(tables, load_calibration(card.calibration), card),
            *hyper_rows(tables),
        ]
        fits = fit_all(rows, card, lambda line, chip=name: print(chip, line, flush=True))
        text = calibration_text(
            f"{card.full_name}, kernels of recurrent and selecting layers",
            float(card.hardware.chip.multiprocessors),
            fits,
            f"{PACKAGE} 0.12.0 (Apache-2.0)",
            kinds=STATE_KINDS,
        )
        STATES.mkdir(exist_ok=True)
        (STATES / f"{name}.toml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
