"""How far is a layer's attention, kernel by kernel, from the measured whole module?

    python -m benchmarks.models.modules FOLDER [CHIP…] [--json FILE]

FOLDER is `systems/data` of `aiconfigurator-core`. The tables time all of a layer's attention:
projections, indexer, selection, attention, output. Nothing here was fitted to them.
"""

import argparse
import json
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from jaxsim.catalog.calibration import load_calibration, resolve_kernels
from jaxsim.catalog.load import load_hardware, load_model
from jaxsim.catalog.precision import Format, Precision, element_bytes
from jaxsim.point.attention.kinds import context_items, decode_items, projection_items
from jaxsim.point.items import ContextTokens, DecodeTokens
from jaxsim.point.ranks import Ranks
from jaxsim.point.roofline import kernel_s
from jaxsim.point.work import AbstractWork
from jaxsim.truth.kernels.tables import FOLDERS, pandas_module

# Folder and table, model of the catalogue, and which of its kinds of layer the table times.
TABLES = {
    "csa": ("sparse_attention", "dsv4_csa", lambda a: getattr(a, "ratio", 0.0) == 4.0),
    "hca": ("sparse_attention", "dsv4_hca", lambda a: getattr(a, "ratio", 0.0) == 128.0),
    "msa": ("msa", "msa", lambda a: type(a).__name__ == "BlockSparseGQA"),
    "dsa": ("sparse_attention", "dsa", lambda a: type(a).__name__ == "SparseMLA"),
}
MODELS = {
    "sgl-project/DeepSeek-V4-Flash-FP8": "deepseek-v4-flash",
    "sgl-project/DeepSeek-V4-Pro-FP8": "deepseek-v4-pro",
    "MiniMaxAI/MiniMax-M3": "minimax-m3",
    "deepseek-ai/DeepSeek-V3.2": "deepseek-v3.2",
    "zai-org/GLM-5": "glm-5",
}
FORMATS: dict[str, Format] = {"bfloat16": "bf16", "fp8_block": "fp8_block"}
MOST = 400  # launches of a table that are compared


def seconds_of(attention, hidden, element, kernels, chip, context: bool):
    """A function of (sequences, queries, past, tp): all kernels of one layer's attention."""

    def one(sequences, queries, past, tp):
        ranks = Ranks(tp, tp, jnp.asarray(1.0), jnp.asarray(1.0), jnp.asarray(1.0), tp)
        items = projection_items(attention, hidden, sequences * queries, ranks, element)
        if context:
            items += context_items(
                attention, ContextTokens(sequences, queries, past, 0.0), ranks, element
            )
        else:
            items += decode_items(attention, DecodeTokens(sequences, queries, past), ranks, element)
        left_out = ("hyper_connections",)
        return sum(
            item.count * kernel_s(cast(AbstractWork, item.work), getattr(kernels, item.role), chip)
            for item in items
            if item.name not in left_out
        )

    return jax.jit(jax.vmap(one))


def compare(root: Path, chip: str, engine: str) -> list[dict]:
    """Errors of every table of one chip and engine."""
    pandas, card = pandas_module(), load_hardware(chip)
    calibration, result = load_calibration(card.calibration), []
    for name, (folder, table, chosen) in TABLES.items():
        for phase in ("context", "generation"):
            where = (root / FOLDERS[chip] / folder / engine).glob(f"*/{table}_{phase}_module*")
            for path in sorted(where)[-1:]:
                rows = pandas.read_parquet(path)
                for (model, gemm), some in rows.groupby(["model", "gemm_type"]):
                    if model not in MODELS or gemm not in FORMATS:
                        continue
                    if len(some) > MOST:
                        some = some.sample(MOST, random_state=0)
                    own = load_model(MODELS[model])
                    attention = next(g.attention for g in own.model.groups if chosen(g.attention))
                    kv = "fp8" if "fp8" in str(some["kv_cache_dtype"].iloc[0]) else "bf16"
                    stored = FORMATS[gemm]
                    precision = Precision(attention=stored, attention_out=stored, kv=kv)
                    heads: Any = getattr(
                        attention, "latent", getattr(attention, "grouped", attention)
                    )
                    tp = float(heads.heads) / some["num_heads"].to_numpy(float)
                    kernels = resolve_kernels(calibration, precision, warm=True)
                    fn = seconds_of(
                        attention, own.model.hidden, element_bytes(precision), kernels,
                        card.hardware.chip, phase == "context",
                    )  # fmt: skip
                    batch, length, past = (
                        some[c].to_numpy(float) for c in ("batch_size", "isl", "step")
                    )
                    if phase == "generation":
                        length, past = np.ones_like(batch), past + 1.0
                    predicted = np.asarray(fn(*(jnp.asarray(x) for x in (batch, length, past, tp))))
                    measured = some["latency"].to_numpy(float) * 1e-3
                    error = predicted / measured - 1.0
                    result.append(
                        {
                            "table": name, "phase": phase, "chip": chip, "engine": engine,
                            "model": MODELS[model], "gemm": stored, "rows": len(error),
                            "median": float(np.median(np.abs(error))),
                            "bias": float(np.median(error)),
                            "sum_error": float(predicted.sum() / measured.sum() - 1.0),
                        }
                    )  # fmt: skip
    return result


def main() -> None:
    """Print a line for each table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("chips", nargs="*", default=["h200", "b200"])
    parser.add_argument("--engine", default="trtllm")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    result = [row for chip in args.chips for row in compare(args.folder, chip, args.engine)]
    for row in result:
        print(
            f"{row['table']} {row['phase']:10} {row['chip']} {row['engine']} {row['model']:18} "
            f"{row['gemm']:9} n={row['rows']} median {row['median']:.1%} bias {row['bias']:+.1%} "
            f"sum {row['sum_error']:+.1%}"
        )
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
