"""How is the fit of an engine written down, with where it comes from?"""

import datetime
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxsim.traffic.serving import MEASURES
from jaxsim.truth.engines.data import data_of
from jaxsim.truth.engines.fit import ENGINE, HELD, SERVING
from jaxsim.truth.engines.held_out import (
    CURVES_DIFFER,
    FEWEST_ERRORS,
    Fits,
    fitted_rows,
    measured_logs,
    predict_with,
    sigma_of,
)
from jaxsim.truth.read.names import Named
from jaxsim.truth.runs import Runs

TITLES = {"trtllm": "TensorRT-LLM", "vllm": "vLLM", "sglang": "SGLang"}
DIGITS = 4


def _number(value: float) -> str:
    rounded = float(f"{value:.{DIGITS}g}")
    return repr(rounded) if rounded != int(rounded) or rounded > 1e6 else f"{rounded:.1f}"


def _fitted(source: str, numbers: dict[str, float]) -> list[str]:
    return [
        f'{name} = {{ value = {_number(v)}, from = "{source}" }}' for name, v in numbers.items()
    ]


def _table(prefix: str, source: str, logs: np.ndarray, sigmas: dict[str, float]) -> list[str]:
    values = np.exp(logs)
    engine = {free.name: values[i] for i, free in enumerate(ENGINE)}
    serving = {free.name: values[len(ENGINE) + i] for i, free in enumerate(SERVING)}

    held = [f'{name} = {{ value = {_number(v)}, from = "held" }}' for name, v in HELD.items()]
    return [
        f"[{prefix}values]",
        *_fitted(source, engine),
        *held,
        *_fitted(source, {"log_sigma": sigmas["tpot"]}),
        "",
        f"[{prefix}serving]",
        *_fitted(source, serving),
        "",
        f"[{prefix}sigmas]",
        *_fitted(source, sigmas),
        "",
    ]


def _sigmas(errors: np.ndarray, fallback: dict[str, float]) -> dict[str, float]:
    """What each measure's errors leave, with that of the engine where too few were measured."""
    found = {}
    for column, measure in enumerate(MEASURES):
        own = errors[:, column]
        enough = np.isfinite(own).sum() >= FEWEST_ERRORS
        found[measure] = (
            CURVES_DIFFER * sigma_of(own) if enough else fallback.get(measure, math.nan)
        )
    return found


def engine_toml(
    engine: str, fits: Fits, runs: Runs, held_out: np.ndarray, files: Sequence[str]
) -> str:
    """The catalogue file of one engine: the fit of all its rows, then one for each variant.

    `held_out` are logs of predictions by fits that had not seen the row's curve. A variant's sigma
    is theirs; that of a fit to be used beyond the generations it saw comes from how it does across
    them, fitted together.
    """
    data = data_of(runs)
    usable = fitted_rows(runs, data)
    measured = measured_logs(runs)
    own = np.asarray([i for i in usable if runs.cases[i].named.engine == engine])
    everything = Fits({(engine, ""): fits.logs[engine, ""]}, {})
    pooled = predict_with(everything, runs, data, own) - measured[own]
    general = _sigmas(pooled, {})
    today = datetime.date.today().isoformat()
    lines = [
        f"# {TITLES[engine]}: factors on kernel times and overheads, fitted on open runs by",
        "# `python -m benchmarks.accuracy.serving`, which also writes this file.",
        f'title = "{TITLES[engine]}"',
        "",
        "[sources.held]",
        'kind = "assumed"',
        'source = "Held in the fit: decode runs in CUDA graphs, and steps bear the rest"',
        f"date = {today}",
        "",
    ]
    tables = []
    for (name, variant), logs in sorted(fits.logs.items()):
        if name != engine:
            continue
        key = f"fit-{variant}" if variant else "fit"
        what = variant.replace("-", ", ") if variant else "all generations"
        lines += [
            f"[sources.{key}]",
            'kind = "fitted"',
            f'source = "{fits.seen[name, variant]} rows ({what}) of {" and ".join(files)}; '
            'sigma from curves held out"',
            f"date = {today}",
            "",
        ]
        prefix = f"variants.{variant}." if variant else ""
        sigmas = general
        if variant:
            rows = [
                i
                for i in own
                if variant in variants_of(runs.cases[i].named)
                and runs.cases[i].row.kind == "closed"
            ]
            sigmas = _sigmas(held_out[rows] - measured[rows], general)
        tables += _table(prefix, key, logs, sigmas)
    for kind in ("disaggregated", "offline"):
        rows = [i for i in own if runs.cases[i].row.kind == kind]
        if len(rows) >= FEWEST_ERRORS:
            sigmas = _sigmas(held_out[rows] - measured[rows], general)
            tables += [f"[kinds.{kind}.sigmas]", *_fitted("fit", sigmas), ""]
    return "\n".join([*lines, *tables]).rstrip() + "\n"


def variants_of(named: Named) -> tuple[str, str]:
    """The variants whose fits a row has a part in, beside that of all rows."""
    return f"{named.family}-{named.format}", named.family


def write_engines(
    folder: Path, fits: Fits, runs: Runs, held_out: np.ndarray, files: Sequence[str]
) -> list[Path]:
    """Write the catalogue files of all engines that were fitted."""
    written = []
    for engine in sorted({name for name, _ in fits.logs}):
        path = folder / f"{engine}.toml"
        path.write_text(engine_toml(engine, fits, runs, held_out, files), encoding="utf-8")
        written.append(path)
    return written
