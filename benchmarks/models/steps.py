"""How far is a whole step's attention and state from the sum of the measured kernel tables?

    python -m benchmarks.models.steps FOLDER [CHIP…] [--json FILE]

FOLDER is `systems/data` of `aiconfigurator-core`. A step is all layers of a kind, each as often as
its model has it, at one shape that every table of the step holds: for DeepSeek-V4 both ratios of
compression and the hyper-connections, for delta nets the convolution and the state. Experts and
messages are families of their own. A step is unseen where a fit of one of its parts held its shape
out.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxsim.catalog.calibration import Calibration, fit_of, load_calibration
from jaxsim.catalog.cards import HardwareCard
from jaxsim.catalog.load import load_hardware, load_model
from jaxsim.catalog.recurrent import STATE_BYTES
from jaxsim.point.work import Convolution, StateScan, StateStep
from jaxsim.truth.kernels.fit import predict_s
from jaxsim.truth.kernels.frames import columns_of, distinct, rows_of
from jaxsim.truth.kernels.rows import KernelRows, stacked
from jaxsim.truth.kernels.tables import Tables
from jaxsim.truth.kernels.tables_selected import (
    attention_of,
    candidates,
    heads_of,
    hyper_rows,
    module_rows,
    of_one_kernel,
)
from jaxsim.truth.kernels.tables_state import state_rows

if TYPE_CHECKING:
    from pandas import DataFrame

CHIPS = ("h100", "h200", "b200", "b300", "gb200-nvl72", "gb300-nvl72")
PHASES = {"decode": "generation", "context": "context"}
# Family of the fit, folder, a table for each compression of layers, and the models by their names
# in the tables.
V4 = {
    "deepseek-v4-flash": ("sgl-project/DeepSeek-V4-Flash-FP8",),
    "deepseek-v4-pro": ("sgl-project/DeepSeek-V4-Pro-FP8", "deepseek-ai/DeepSeek-V4-Pro"),
}
DSA = {
    "deepseek-v3.2": ("deepseek-ai/DeepSeek-V3.2",),
    "glm-5": ("zai-org/GLM-5", "zai-org/GLM-5-FP8"),
}
SELECTED = (
    ("compressed", "sparse_attention", {"dsv4_csa": 4.0, "dsv4_hca": 128.0}, V4),
    ("msa", "msa", {"msa": 0.0}, {"minimax-m3": ("MiniMaxAI/MiniMax-M3",)}),
    ("dsa", "sparse_attention", {"dsa": 0.0}, DSA),
)
MOST_TP = 16.0
LAUNCH = ["num_heads", "batch_size", "isl", "step"]
STATES = (("delta", "linear_attention", "gdn"), ("kda", "kda", "kda"))
STATE = ["num_k_heads", "head_k_dim", "num_v_heads", "head_v_dim", "batch_size", "seq_len"]
WIDE, DELTA_FLOP, CHUNK, PRODUCTS = 2.0, 7.0, 64.0, 2.0

Spent = tuple[np.ndarray, np.ndarray, np.ndarray]  # measured and predicted seconds; unseen


class Chip:
    """A chip with its fits and tables."""

    def __init__(self, root: Path, name: str):
        self.name = name
        self.card: HardwareCard = load_hardware(name)
        self.calibration: Calibration = load_calibration(self.card.calibration)
        self.tables = Tables(root, name)

    def predicted_s(self, rows: KernelRows) -> np.ndarray:
        fit = fit_of(self.calibration, rows.kind, rows.number_format)
        return predict_s(rows, fit, self.card.hardware)


def module_frame(
    chip: Chip, some: "DataFrame", where: str, family: str, phase: str, ratio: float, model: str
) -> "DataFrame":
    """A line for each launch of one model, format and cache, with its shape and both times."""
    (rows,) = module_rows(some, where, chip.calibration, chip.card, family, phase, ratio)
    heads = heads_of(attention_of(load_model(model), family, ratio))
    lines = distinct(some, LAUNCH)
    lines = lines.loc[lines["num_heads"].between(heads / MOST_TP, heads)].copy()
    return lines[LAUNCH].assign(
        measured=rows.seconds, predicted=chip.predicted_s(rows), unseen=rows.unseen
    )


def hyper_frame(chip: Chip, hidden: float) -> "DataFrame | None":
    """Both times of a layer's hyper-connections, by the tokens of a step."""
    for engine in ("trtllm", "vllm", "sglang"):
        if (read := chip.tables.read("mhc", "mhc_module", engine)) is None:
            continue
        names = ["num_tokens", "hidden_size", "hc_mult", "num_sites"]
        lines = distinct(read[0], names)
        (rows,) = hyper_rows(chip.tables)
        lines = lines.assign(measured=rows.seconds, predicted=chip.predicted_s(rows))
        lines = lines.loc[lines["hidden_size"] == hidden]
        both = lines.groupby("num_tokens")[["measured", "predicted"]].agg(["sum", "count"])
        both = both.loc[both[("measured", "count")] == 2]  # what is before a layer, and after it
        kept = both.xs("sum", axis=1, level=1).reset_index()
        return kept.rename(columns={"measured": "mhc_measured", "predicted": "mhc_predicted"})
    return None


def selected_steps(chip: Chip) -> Iterator[tuple[str, str, str, Spent]]:
    """Model, phase, format and times of steps of layers that select or compress."""
    for family, folder, names, models in SELECTED:
        for phase, theirs in PHASES.items():
            for model, called in models.items():
                card, parts = load_model(model), {}
                for name, ratio in names.items():
                    every = candidates(chip.tables, folder, f"{name}_{theirs}_module")
                    if (first := next(every, None)) is None:
                        continue
                    table, where = of_one_kernel(first[0], phase), first[1]
                    table = table.loc[table["model"].isin(list(called))]
                    for key, some in table.groupby(["model", "gemm_type", "kv_cache_dtype"]):
                        gemm = str(key[1])  # type: ignore[index]
                        if gemm not in ("bfloat16", "fp8_block"):
                            continue
                        lines = module_frame(chip, some, where, family, phase, ratio, model)
                        kind = attention_of(card, family, ratio)
                        layers = sum(
                            float(group.layers)
                            for group in card.model.groups
                            if type(group.attention) is type(kind)
                            and float(getattr(group.attention, "ratio", 0.0)) == ratio
                        )
                        lines[["measured", "predicted"]] *= layers
                        parts.setdefault(f"{gemm}, {key[2]}", []).append(lines)  # type: ignore[index]
                for formats, frames in parts.items():
                    if len(frames) < len(names):
                        continue
                    step = frames[0]
                    for other in frames[1:]:
                        step = step.merge(other, on=LAUNCH, suffixes=("", "_other"))
                        for column in ("measured", "predicted"):
                            step[column] += step.pop(f"{column}_other")
                        step["unseen"] |= step.pop("unseen_other")
                    if family == "compressed":
                        mixed = hyper_frame(chip, float(card.model.hidden))
                        if mixed is None:
                            continue
                        step["num_tokens"] = step["batch_size"] * step["isl"]
                        step = step.merge(mixed, on="num_tokens")
                        layers = sum(float(group.layers) for group in card.model.groups)
                        for column in ("measured", "predicted"):
                            step[column] += layers * step[f"mhc_{column}"]
                    measured, predicted = columns_of(step, "measured", "predicted")
                    unseen = step["unseen"].to_numpy(bool)
                    yield model, phase, formats, (measured, predicted, unseen)


def state_frame(chip: Chip, some: "DataFrame", form: type, family: str, where: str):
    """Lines of one kernel of a layer with a state, with both times."""
    lines = distinct(some, STATE)
    keys, key_dim, heads, value_dim, batch, length = columns_of(lines, *STATE)
    common = {"sequences": batch, "queries": length, "activation_bytes_per_element": WIDE}
    if form is Convolution:
        channels = 2.0 * keys * key_dim + heads * value_dim
        work, kind = stacked(Convolution, channels=channels, kept=3.0, **common), "convolution"
    else:
        more = {} if form is StateStep else {"chunk": CHUNK, "products": PRODUCTS}
        work = stacked(
            form, heads=heads, key_dim=key_dim, value_dim=value_dim, flop_per_state=DELTA_FLOP,
            state_bytes_per_element=STATE_BYTES, **common, **more,
        )  # fmt: skip
        kind = f"{family}_{'step' if form is StateStep else 'scan'}"
    rows = rows_of(kind, "any", work, lines, STATE[:4], where)
    return lines[STATE].assign(
        measured=rows.seconds, predicted=chip.predicted_s(rows), unseen=rows.unseen
    )


def state_steps(chip: Chip) -> Iterator[tuple[str, str, str, Spent]]:
    """Family, phase, engine and times of a layer's convolution and state.

    Each kernel is that of the table its fit was made from (`state_rows`); where no convolution was
    fitted, that of the state's own table. Launches that contradict others are left out.
    """
    hbm_bytes_per_s = float(chip.card.hardware.chip.hbm_bytes_per_s)
    fitted = {rows.kind: rows for rows in state_rows(chip.tables, hbm_bytes_per_s)}
    for family, folder, name in STATES:
        for phase, theirs in PHASES.items():
            form, word = (StateStep, "recurrent") if phase == "decode" else (StateScan, "chunk_")
            rows = fitted.get(f"{family}_{'step' if phase == 'decode' else 'scan'}")
            if rows is None:
                continue
            mixes = fitted["convolution"] if (family, phase) == ("delta", "context") else rows
            frames = []
            for own, kernel, chosen in ((rows, form, word), (mixes, Convolution, "conv1d")):
                engine = own.source.split("/")[2]
                if (read := chip.tables.read(folder, name, engine)) is None:
                    raise SystemExit(f"{own.source}: no such table")
                table, where = read
                table = table.loc[table["phase"] == theirs]
                table = table.loc[table["kernel_source"].str.contains(chosen)]
                lines = state_frame(chip, table, kernel, family, where)
                if kernel is not Convolution or own is not rows:
                    lines = lines.loc[own.sound]
                frames.append(lines)
            step = frames[0].merge(frames[1], on=STATE, suffixes=("", "_conv"))
            if not len(step):
                continue
            measured = (step["measured"] + step["measured_conv"]).to_numpy(float)
            predicted = (step["predicted"] + step["predicted_conv"]).to_numpy(float)
            engines = " and ".join(sorted({one.source.split("/")[2] for one in (rows, mixes)}))
            yield family, phase, engines, (measured, predicted, step["unseen"].to_numpy(bool))


def record_of(chip: str, what: tuple[str, str, str], spent: Spent, unseen: bool) -> dict | None:
    """Errors of steps: each step's, and that of all steps' sum."""
    measured, predicted, held_out = spent
    chosen = held_out if unseen else np.ones(len(measured), bool)
    if not chosen.any():
        return None
    error = predicted[chosen] / measured[chosen] - 1.0
    name, phase, which = what
    return {
        "chip": chip, "name": name, "phase": phase, "of": which,
        "rows": "unseen" if unseen else "all", "steps": int(chosen.sum()),
        "mean": float(np.abs(error).mean()), "median": float(np.median(np.abs(error))),
        "p90": float(np.percentile(np.abs(error), 90)), "bias": float(np.median(error)),
        "sum_error": float(predicted[chosen].sum() / measured[chosen].sum() - 1.0),
    }  # fmt: skip


def main() -> None:
    """Print a line for each model or family, phase and format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("chips", nargs="*", default=list(CHIPS))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    result = []
    for name in args.chips:
        chip = Chip(args.folder, name)
        for steps in (state_steps, selected_steps):
            for *what, spent in steps(chip):
                for unseen in (False, True):
                    row = record_of(name, (what[0], what[1], what[2]), spent, unseen)
                    if row is None:
                        continue
                    result.append(row)
                    print(
                        f"{name:12} {row['name']:18} {row['phase']:8} {row['of']:22} "
                        f"{row['rows']:6} n={row['steps']:5} mean {row['mean']:6.1%} "
                        f"median {row['median']:6.1%} bias {row['bias']:+6.1%} "
                        f"sum {row['sum_error']:+6.1%}",
                        flush=True,
                    )
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
