"""What is one run of a result file, and which record does it become?"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypedDict, Unpack, cast

from jaxsim.catalog.errors import InputError
from jaxsim.traffic.layout import Layout
from jaxsim.truth.read.clients.stated import Stated, hardware_of
from jaxsim.truth.read.rows import Load, ServingRow, implied_tokens_per_s_per_gpu


@dataclass(frozen=True)
class Entry:
    """One object of a result file: a run, or a part of it."""

    path: str
    number: int
    raw: Mapping[str, object]

    def error(self, key: str, problem: str) -> InputError:
        """An error about one key."""
        return InputError(f"{self.path}: entry {self.number}, {key}: {problem}.")

    def number_of(self, key: str, scale: float = 1.0) -> float | None:
        """A number, 0 or more, or None where absent."""
        value = self.raw.get(key)
        if value is None or value == "":
            return None
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise self.error(key, f"is {value!r}; a number is needed")
        try:
            number = float(value)
        except ValueError:
            raise self.error(key, f"is {value!r}; a number is needed") from None
        if not math.isfinite(number) or number < 0:
            raise self.error(key, f"is {value}; it must be 0 or more, and finite")
        return number * scale

    def part(self, *keys: str) -> "Entry":
        """An object inside this one, empty where there is none."""
        raw = self.raw
        for key in keys:
            inner = raw.get(key)
            raw = inner if isinstance(inner, Mapping) else {}
        return Entry(self.path, self.number, raw)

    def listed(self, key: str) -> list[object]:
        """A list, empty where there is none."""
        value = self.raw.get(key)
        return value if isinstance(value, list) else []

    def word(self, *keys: str) -> str:
        """The first of these words that there is; empty if none."""
        return next((str(self.raw[key]).strip() for key in keys if self.raw.get(key)), "")

    def rate(self, key: str) -> float | None:
        """A request rate, None where it is absent or "inf": requests then follow one another."""
        if str(self.raw.get(key)).lower() in ("inf", "infinity"):
            return None
        return self.number_of(key) or None


def hub_name(model: str) -> str:
    """A model's name on its hub, also of a folder in which a hub's client keeps it."""
    kept = re.search(r"models--(.+?)--(.+?)(/|$)", model)
    return f"{kept[1]}/{kept[2]}" if kept else model


def _need(entry: Entry, key: str, stated: str, said: str) -> str:
    word = stated or said
    if not word:
        raise entry.error(key, "is not in the file; state it, for example with --" + key)
    return word


def layout_of(
    entry: Entry, stated: Stated, tp: float | None, ep: float | None, pp: float | None = None
) -> Layout:
    """The pool that decodes, as stated or as the file says."""
    tp = stated.tp or tp
    if not tp:
        raise entry.error("tp", "the layout is not in the file; state it with --tp (and --ep)")
    return Layout(tp, stated.ep or ep or 1.0, stated.pp or pp or 1.0, stated.instances or 1.0)


def after_first_s(latency_s: float | None, ttft_s: float | None, osl: float | None):
    """Seconds a token after the first, (latency - TTFT) / (OSL - 1); None where not known."""
    if latency_s is None or ttft_s is None or not osl or osl <= 1.0 or latency_s < ttft_s:
        return None
    return (latency_s - ttft_s) / (osl - 1.0)


def in_system(requests_per_s: float | None, latency_s: float | None) -> float | None:
    """Requests in the system, N = X · T, of a client that does not say them."""
    if not requests_per_s or not latency_s:
        return None
    return max(round(requests_per_s * latency_s), 1.0)


class RowFields(TypedDict, total=False):
    """Fields of a row that a client's file says."""

    id: str
    load: Load
    isl_max: float
    osl_max: float
    ttft_s: float | None
    tpot_s: float | None
    ttft_median_s: float | None
    speculation: Literal["none", "mtp", "unknown"]
    speculation_known: bool
    client: str
    version: str
    excluded: str
    refused: str
    output_tokens_per_s_per_gpu: float | None


def row_of(
    entry: Entry,
    stated: Stated,
    source: str,
    layout: Layout,
    prefill: Layout | None = None,
    *,
    model: str = "",
    hardware: str = "",
    engine: str = "",
    precision: str = "",
    output_tokens_per_s: float | None = None,
    concurrency: float | None = None,
    prompts: float | None = None,
    requests_per_s: float | None = None,
    isl: float | None = None,
    osl: float | None = None,
    **fields: Unpack[RowFields],
) -> ServingRow:
    """The record of a run: what its file says, and what was stated where it says nothing.

    `output_tokens_per_s` is of all GPUs of the run.
    """
    prefill = stated.prefill or prefill
    lengths = {"isl": stated.isl or isl, "osl": stated.osl or osl}
    for name, value in lengths.items():
        if not value:
            raise entry.error(name, f"mean length is missing or 0; state it with --{name}")
    chip, refused = hardware_of(hardware, stated.hardware)
    rate = stated.rate or requests_per_s
    prompts = stated.prompts or prompts
    # A rate is the load, and a cap on what is in flight is none; without either, all come at once.
    cap = None if rate else stated.concurrency or concurrency or prompts
    gpus = layout.gpus + (0.0 if prefill is None else prefill.gpus)
    defaults: dict[str, object] = {
        "id": f"{Path(entry.path).name}#{entry.number}",
        "line": entry.number,
        "source": source,
        "version": "",
        "formats": ("", ""),
        "load": "closed" if cap else "open",
        "decode": layout,
        "prefill": prefill,
        "mode": "disaggregated" if prefill else "colocated",
        "isl_max": lengths["isl"],
        "osl_max": lengths["osl"],
        "ttft_s": None,
        "tpot_s": None,
        "output_tokens_per_s_per_gpu": output_tokens_per_s and output_tokens_per_s / gpus,
        "refused": refused,
        "prompts": prompts,
    }
    build = cast(Callable[..., ServingRow], ServingRow)
    row = build(
        **{
            **defaults,
            **lengths,
            **fields,
            "model": hub_name(_need(entry, "model", stated.model, model)),
            "hardware": _need(entry, "hardware", chip, ""),
            "framework": _need(entry, "engine", stated.engine, engine),
            "precision": stated.precision or precision,
            "concurrency": cap,
            "requests_per_s": rate,
        }
    )
    if row.load == "open" and row.requests_per_s is None:
        return replace(row, refused="neither concurrency nor a request rate is stated")
    if row.output_tokens_per_s_per_gpu is None:
        return replace(row, output_tokens_per_s_per_gpu=implied_tokens_per_s_per_gpu(row))
    return row
