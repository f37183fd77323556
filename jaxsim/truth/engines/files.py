"""How is the fit of an engine written down, with where it comes from?"""

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxsim.catalog.known_engines import generations
from jaxsim.traffic.serving import MEASURES
from jaxsim.truth.engines.fit import ENGINE, SERVING, held_of, values_of
from jaxsim.truth.engines.held_out import (
    FEWEST_ERRORS,
    HeldOut,
    leaf_of,
    measured_logs,
    shrunk_sigma,
    sigma_of,
)
from jaxsim.truth.engines.hierarchy import Leaf
from jaxsim.truth.runs import Runs

TITLES = {"trtllm": "TensorRT-LLM", "vllm": "vLLM", "sglang": "SGLang"}
DIGITS = 4


def _number(value: float) -> str:
    rounded = float(f"{value:.{DIGITS}g}")
    return repr(rounded) if rounded != int(rounded) or rounded > 1e6 else f"{rounded:.1f}"


def _fitted(source: str, numbers: Mapping[str, float]) -> list[str]:
    return [
        f'{name} = {{ value = {_number(v)}, from = "{source}" }}' for name, v in numbers.items()
    ]


def _table(
    prefix: str, source: str, logs: np.ndarray, sigmas: Mapping[str, float], engine: str
) -> list[str]:
    values = {name: float(value) for name, value in values_of(logs).items()}
    held = [
        f'{name} = {{ value = {_number(v)}, from = "held" }}' for name, v in held_of(engine).items()
    ]
    return [
        f"[{prefix}values]",
        *_fitted(source, {free.name: values[free.name] for free in ENGINE}),
        *held,
        *_fitted(source, {"log_sigma": sigmas["tpot"]}),
        "",
        f"[{prefix}serving]",
        *_fitted(source, {free.name: values[free.name] for free in SERVING}),
        "",
        f"[{prefix}sigmas]",
        *_fitted(source, sigmas),
        "",
    ]


class Spreads:
    """What predictions of systems, architectures and GPUs left out were wrong by, as sigmas."""

    def __init__(self, runs: Runs, held_out: HeldOut):
        self.runs = runs
        measured = measured_logs(runs)
        self.errors = {name: logs - measured for name, logs in held_out.logs.items()}
        known = np.zeros(len(runs), bool)
        known[held_out.usable] = True
        self.known = known
        self.leaves = [leaf_of(case) for case in runs.cases]
        self.kinds = np.asarray([case.row.kind for case in runs.cases])

    def _where(self, engine: str, kind: str = "", leaf: Leaf | None = None) -> np.ndarray:
        own = [one[0] == engine and (leaf is None or one == leaf) for one in self.leaves]
        return self.known & np.asarray(own) & ((self.kinds == kind) | (kind == ""))

    def of_leaf(self, leaf: Leaf) -> dict[str, float]:
        """Of an engine, generation and architecture: systems left out, in a closed loop."""
        errors = self.errors["system"]
        own, like = self._where(leaf[0], "closed", leaf), self._where(leaf[0])
        return {
            name: shrunk_sigma(errors[own, j], errors[like, j]) for j, name in enumerate(MEASURES)
        }

    def of_kind(self, engine: str, kind: str) -> dict[str, float] | None:
        """Of a kind of run of an engine, where enough were measured."""
        own, like = self._where(engine, kind), self._where(engine)
        if own.sum() < FEWEST_ERRORS:
            return None
        errors = self.errors["system"]
        return {
            name: shrunk_sigma(errors[own, j], errors[like, j]) for j, name in enumerate(MEASURES)
        }

    def beyond(self, engine: str, scheme: str) -> dict[str, float]:
        """Of an engine where an architecture or a generation (`gpu`) has no runs."""
        errors = self.errors[scheme][self._where(engine)]
        return {name: sigma_of(errors[:, j]) for j, name in enumerate(MEASURES)}


def engine_toml(engine: str, held_out: HeldOut, runs: Runs, files: Sequence[str]) -> str:
    """The catalogue file of one engine: what is known of it alone, then of every variant.

    A variant is a generation of GPUs and an architecture of models, or a generation alone, for
    architectures without runs. Its sigmas are what predictions of systems left out were wrong by;
    of architectures and generations without runs, what predictions were wrong by with a whole
    architecture or GPU left out.
    """
    tree, spreads = held_out.whole, Spreads(runs, held_out)
    today = datetime.date.today().isoformat()
    lines = [
        f"# {TITLES[engine]}: factors on kernel times and overheads, fitted on open runs by",
        "# `python -m benchmarks.accuracy.serving`, which also writes this file.",
        f'title = "{TITLES[engine]}"',
        "",
        "[sources.held]",
        'kind = "assumed"',
        'source = "Held in the fit: decode runs in CUDA graphs, as do passes over few prompt '
        'tokens where the engine captures them by default, and steps bear the rest"',
        f"date = {today}",
        "",
    ]
    tables: list[str] = []

    def add(variant: str, leaf: Leaf, sigmas: Mapping[str, float], left_out: str) -> None:
        key = f"fit-{variant}" if variant else "fit"
        words = variant.replace("-", ", ") if variant else "all generations"
        count = sum(
            n
            for (e, g, a), n in tree.rows.items()
            if e == engine and leaf[1] in ("", g) and leaf[2] in ("", a)
        )
        source = (
            f"{count} rows ({words}) of {' and '.join(files)}, in a hierarchy of "
            f"{sum(tree.rows.values())} rows of all engines; sigma from {left_out} left out"
        )
        lines.extend(
            [f"[sources.{key}]", 'kind = "fitted"', f'source = "{source}"', f"date = {today}", ""]
        )
        prefix = f"variants.{variant}." if variant else ""
        tables.extend(_table(prefix, key, tree.logs(leaf), sigmas, engine))

    add("", (engine, "", ""), spreads.beyond(engine, "gpu"), "GPUs")
    for generation in generations():
        with_runs = any(e == engine and g == generation for e, g, _ in tree.rows)
        scheme = "architecture" if with_runs else "gpu"
        words = "architectures" if with_runs else "GPUs"
        add(generation, (engine, generation, ""), spreads.beyond(engine, scheme), words)
    for leaf in sorted(tree.rows):
        if leaf[0] == engine:
            add(f"{leaf[1]}-{leaf[2]}", leaf, spreads.of_leaf(leaf), "systems")
    for kind in ("disaggregated", "offline"):
        sigmas = spreads.of_kind(engine, kind)
        if sigmas is not None:
            tables += [f"[kinds.{kind}.sigmas]", *_fitted("fit", sigmas), ""]
    return "\n".join([*lines, *tables]).rstrip() + "\n"


def write_engines(folder: Path, held_out: HeldOut, runs: Runs, files: Sequence[str]) -> list[Path]:
    """Write the catalogue files of all engines that were fitted."""
    written = []
    for engine in sorted({leaf[0] for leaf in held_out.whole.rows}):
        path = folder / f"{engine}.toml"
        path.write_text(engine_toml(engine, held_out, runs, files), encoding="utf-8")
        written.append(path)
    return written
