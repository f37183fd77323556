"""How do the figures of serving accuracy read as tables?

python -m benchmarks.accuracy.serving_tables serving.json > serving.md
"""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

TITLES = {
    "tpot": "time per output token",
    "ttft": "time to first token, not queued",
    "ttft_all": "time to first token, all",
    "output_tokens_per_s_per_gpu": "output tokens/s/GPU",
}
LEFT_OUT = {
    "system": "systems (model, GPU, engine, format)",
    "curve": "curves (and mode and lengths)",
    "format": "formats of an engine",
    "architecture": "architectures of an engine",
    "gpu": "GPUs",
}
JOINT = ("one engine", "any engines")  # of both modes of a pair
SHOWN = ("median", "mean", "p90")


def _percent(value: float | None, signed: bool = False) -> str:
    if value is None:
        return ""
    return f"{100 * value:+.1f}" if signed else f"{100 * value:.1f}"


def _cells(scores: Mapping[str, Any]) -> list[str]:
    return [
        f"{scores['n']:,}",
        *(_percent(scores[name]) for name in SHOWN),
        _percent(scores["bias"], signed=True),
        _percent(scores.get("interval80")),
    ]


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    head = list(head)
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def markdown(found: Mapping[str, Any]) -> str:
    """The tables, in percent."""
    numbers = ("rows", *SHOWN, "bias", "in 80 %")
    overall = [
        [LEFT_OUT[scheme], TITLES[m], *_cells(scores[m])]
        for scheme, scores in found["left_out"].items()
        for m in TITLES
    ]
    peer = [
        [TITLES[measure], who, *_cells(both[name])]
        for measure, both in found["beside_peer"].items()
        for who, name in (("jaxsim", "ours"), ("AIConfigurator 0.12.0", "peer"))
    ]
    sources = [
        [source, TITLES[measure], *_cells(scores[measure])]
        for source, scores in found["by_source"].items()
        for measure in TITLES
        if scores[measure]["n"]
    ]
    names = ("model", "engine", "mode", "precision")
    large = [[" ".join(g[k] for k in names), *_cells(g["tpot"])] for g in found["large_groups"]]
    keys = [
        [key, group[key], *_cells(group["tpot"]), _percent(group["ttft"].get("median"))]
        for key in ("engine", "gpu", "mode", "precision", "model")
        for group in found["by"][key]
        if group["tpot"]["n"]
    ]
    excluded = [
        [entry["reason"], f"{entry['rows']:,}", _percent(entry["tpot"].get("median"))]
        for entry in found["excluded"]
    ]
    coverage, chosen = found["coverage"], found["decisions"]
    joint = [found["gain_joint"][name] for name in JOINT]

    def both(title: str, key: str, percent: bool = True) -> list[str]:
        return [title, *(_percent(o[key]) if percent else f"{o[key]}" for o in joint)]

    def right(title: str, key: str) -> list[str]:
        return [title, *(f"{o[key]['right']} of {o[key]['points']}" for o in joint)]

    verdicts = [
        both("pairs of frontiers", "pairs", percent=False),
        both("points", "points", percent=False),
        both("error of the gain, median", "median"),
        both("error of the gain, mean", "mean"),
        right("right side, measured gain beyond 15 %", "side"),
        both("80 % interval holds, spread of other systems", "interval80"),
        right("verdicts stated with 0.9 or more that are right", "sure"),
        ["spread of the log gain", *(f"{o['log_sigma']:.3f}" for o in joint)],
    ]
    choices = [
        ["choices among measured designs", f"{chosen['choices']}"],
        ["regret, mean", _percent(chosen["mean"])],
        ["measured beyond the TPOT target", _percent(chosen["missed"])],
    ]
    return "\n".join(
        [
            "Error on what no fit has seen, percent; where nothing else is said, on whole systems.",
            f"jaxsim {found['versions']['jaxsim']}, {found['date']}.",
            "",
            *_table(("left out whole", "", *numbers), overall),
            *_table(("on the rows that the peer predicts", "", *numbers), peer),
            *_table(("source", "", *numbers), sources),
            *_table(("TPOT, groups of 30 rows or more", *numbers), large),
            *_table(("TPOT by", "", *numbers, "TTFT median"), keys),
            *_table(("gain of disaggregation, systems left out", *JOINT), verdicts),
            *_table(("decisions, systems left out", ""), choices),
            *_table(("rows excluded, predicted but not counted", "rows", "TPOT median"), excluded),
            f"Predicted {coverage['predicted']:,} of {coverage['rows']:,} rows. Not predicted:",
            "",
            *(f"* {count:,}: {reason}" for reason, count in coverage["reasons"].items()),
            "",
        ]
    )


if __name__ == "__main__":
    print(markdown(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), end="")
