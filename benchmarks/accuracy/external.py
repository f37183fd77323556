"""How near are predictions of third parties' runs, to which nothing was fitted; what binds them?

    python -m benchmarks.accuracy.external DIR [--json FILE] [--markdown FILE]

DIR holds `external_open.csv`, which is not in this repository. Its columns do not have every option
that a source states: `external_options.csv`, beside this file, has those of GPUStack's pages
(docs/performance-lab of gpustack/gpustack at 47277d79), by row: sequences, prompt tokens of a pass,
part of the memory. Rows are predicted with them; `jaxsim validate` reads the table alone. A group
is a model, GPU, engine and number format, or all runs of one kind, engine, GPU or source. Of a
prediction, what binds it: the largest part of TPOT (prompts of others, kernels by kind, host), and
of TTFT (the queue, a prompt's own passes, the host).
"""

import argparse
import csv
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxsim.catalog.engine_limits import Limits
from jaxsim.catalog.known_engines import load_engine
from jaxsim.quantities import KERNEL_PARTS
from jaxsim.traffic.serving import decode_step_s, factors, served_by
from jaxsim.truth.limits import serving_of
from jaxsim.truth.read.readers import read_rows
from jaxsim.truth.read.rows import ServingRow
from jaxsim.truth.runs import runs_of
from jaxsim.truth.validate import Key, Predicted, groups, validate

OPTIONS = Path(__file__).parent / "external_options.csv"
SYSTEM: tuple[Key, ...] = ("model", "gpu", "engine", "precision")
WAYS: tuple[tuple[Key, ...], ...] = (("regime",), ("engine",), ("gpu",), ("source",), ("model",))
FEWEST, WIDEST = 10, 0.3
MEASURES = ("tpot", "ttft_all", "output_tokens_per_s_per_gpu")


def with_options(rows: Sequence[ServingRow], options: Path = OPTIONS) -> list[ServingRow]:
    """Rows with what their source states beside the table's columns."""
    with options.open(encoding="utf-8") as file:
        stated = {line["id"]: line for line in csv.DictReader(file)}

    def number(line: dict[str, str], name: str) -> float | None:
        return float(line[name]) if line[name] else None

    result = []
    for row in rows:
        line = stated.get(row.id)
        if line is not None:
            limits = Limits(number(line, "max_num_seqs"), number(line, "memory_frac"))
            tokens = number(line, "max_num_batched_tokens")
            row = replace(row, limits=limits, batched_tokens=tokens)
        result.append(row)
    return result


def binding(entries: Sequence[Predicted]) -> list[tuple[str, str]]:
    """The largest part of each prediction's time per output token and to the first token."""
    runs = runs_of([entry.row for entry in entries])
    result = []
    for index, entry in enumerate(entries):
        steps, load = (
            jax.tree.map(lambda x, i=index: x[i], tree) for tree in (runs.steps, runs.load)
        )
        named = entry.case.named
        card = load_engine(named.engine, named.hardware.name, named.model)
        engine, serving = card.engine, serving_of(entry.row, named, card)
        _, prompt, pools = served_by(steps, load, engine, serving)
        tpot, ttft = entry.values["tpot"], entry.values["ttft"]
        rate = entry.values["output_tokens_per_s_per_gpu"] * load.gpus / load.osl
        batch = min(float(rate * tpot * (load.osl - 1.0) / load.decoders), float(pools.slots))
        step = float(decode_step_s(steps, engine, batch))
        columns = [np.interp(batch, steps.batch, column) for column in steps.decode_s.T]
        kernels = np.asarray(columns) * np.asarray(factors(engine, prompts=False))
        parts = dict(zip(KERNEL_PARTS, (steps.decode_stretch * kernels).tolist(), strict=True))
        parts["host"] = max(step - sum(parts.values()), 0.0)
        parts["prompts"] = max(tpot - step, 0.0)
        first = {"host": float(prompt.fixed_s), "passes": float(prompt.latency_s)}
        first["queue"] = max(ttft - sum(first.values()), 0.0)
        result.append((max(parts, key=parts.__getitem__), max(first, key=first.__getitem__)))
    return result


def judge(folder: Path) -> dict[str, Any]:
    """Errors of all groups and rows, and what binds them."""
    found = validate(with_options(read_rows(folder / "external_open.csv")))
    entries = found.headline
    bound = binding(entries)
    rows = [
        {
            "id": entry.row.id,
            "regime": entry.row.regime,
            **{name: entry.key(name) for name in SYSTEM},
            **{name: entry.log_error(name) for name in MEASURES},
            "binds": list(binds),
        }
        for entry, binds in zip(entries, bound, strict=True)
    ]
    of = {entry.row.id: binds for entry, binds in zip(entries, bound, strict=True)}

    def with_bounds(keys: tuple[Key, ...]):
        result = []
        for group in groups(entries, keys):
            own = [e for e in entries if all(e.key(key) == group.get(key) for key in keys)]
            most = [Counter(of[e.row.id][i] for e in own).most_common(1)[0][0] for i in (0, 1)]
            result.append({**group, "rows": len(own), "binds": most})
        return result

    return {
        "rows": rows,
        "systems": with_bounds(SYSTEM),
        "by": {keys[0]: with_bounds(keys) for keys in WAYS},
        "left_out": found.reasons,
    }


def table(result: dict[str, Any]) -> str:
    """The judgement as Markdown."""

    def line(names: str, group: dict[str, Any]) -> str:
        cells = []
        for name in MEASURES:
            score = group[name]
            median = score["median"]
            wide = median is not None and group["rows"] >= FEWEST and median > WIDEST
            text = "" if median is None else f"{100 * median:.1f} ({100 * score['bias']:+.0f})"
            cells.append(f"**{text}**" if wide else text)
        return f"| {names} | {group['rows']} | {' | '.join(cells)} | {', '.join(group['binds'])} |"

    head = "| rows | TPOT: median, bias (%) | TTFT | output tokens/s/GPU | binds TPOT, TTFT |"
    lines = [
        "# Third parties' runs",
        "",
        "Nothing was fitted to them. By `benchmarks.accuracy.external`; bold: groups of ten rows"
        " and more that are off by more than 30 % in the median. TTFT with queues.",
    ]
    for key, own in result["by"].items():
        lines += ["", f"| {key} {head}", "|---|---:|---:|---:|---:|---|"]
        lines += [line(group[key], group) for group in own]
    lines += ["", f"| system {head}", "|---|---:|---:|---:|---:|---|"]
    for group in result["systems"]:
        lines.append(line(", ".join(group[name] for name in SYSTEM), group))
    return "\n".join(lines) + "\n"


def main() -> None:
    """Judge, and write what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    args = parser.parse_args()
    result = judge(args.folder)
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    text = table(result)
    if args.markdown:
        args.markdown.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
