"""How unsure is a kernel constant that measurements leave open?

    python -m jaxsim.truth.kernels.priors

rewrites `catalog/data/priors.toml` from the calibrations: a constant that one chip's measurements
do not settle is as unsure as it differs between the fits that do settle it.
"""

import datetime
from collections.abc import Iterable

import numpy as np

from jaxsim.catalog.calibration import Calibration, Family, list_calibrations, load_calibration
from jaxsim.catalog.names import DATA
from jaxsim.catalog.priors import FILE

# A fit settles a constant if it leaves its logarithm a standard deviation below this.
SETTLED = 0.3
# Fits that must settle a constant before they say how much it differs.
FEWEST = 4


def spreads(calibrations: Iterable[Calibration]) -> tuple[float, dict[str, float]]:
    """The deviation of ln of any constant between fits of one family, and of each by name.

    Of each family, the sample deviation of the fits that settle the constant; over families the
    root mean square, each counted by its degrees of freedom.
    """
    logs: dict[tuple[str, str], list[float]] = {}
    for calibration in calibrations:
        for kind, formats in calibration.families.items():
            for family in formats.values():
                if not fitted(calibration, family):
                    continue
                for i, name in enumerate(family.free):
                    if family.covariance[i][i] < SETTLED**2:
                        value = float(family.constants[name])
                        logs.setdefault((name, kind), []).append(float(np.log(value)))
    squares: dict[str, list[tuple[float, int]]] = {}
    for (name, _), own in logs.items():
        if len(own) >= FEWEST:
            squares.setdefault(name, []).append((float(np.var(own, ddof=1)), len(own) - 1))
    by_name = {name: _pooled(own) for name, own in sorted(squares.items())}
    return _pooled([one for own in squares.values() for one in own]), by_name


def _pooled(squares: list[tuple[float, int]]) -> float:
    variances, freedom = zip(*squares, strict=True)
    return float(np.sqrt(np.average(variances, weights=freedom)))


def written(default: float, by_name: dict[str, float], names: Iterable[str]) -> str:
    """The file."""
    lines = [
        "# Standard deviations of ln of kernel constants before any measurement. Written by",
        "# `python -m jaxsim.truth.kernels.priors`.",
        "",
        'from = "spread"',
        "",
        f'log_sigma = {{ value = {default:.3g}, from = "others" }}',
        "",
        "[constants]",
        *(f"{name} = {max(sigma, 0.02):.3g}" for name, sigma in by_name.items()),
        "",
        "[sources.spread]",
        'kind = "derived"',
        f'source = "Spread of ln of the constant between the fits that settle it (deviation below '
        f'{SETTLED:g}), families pooled: {", ".join(names)}"',
        f"date = {datetime.date.today()}",
        "",
        "[sources.others]",
        'kind = "assumed"',
        'source = "Constants that too few fits settle are taken to differ as the others do, '
        'families and constants pooled"',
        f"date = {datetime.date.today()}",
    ]
    return "\n".join(lines) + "\n"


def measured() -> list[Calibration]:
    """The calibrations that have fits to their own chip."""
    every = [load_calibration(name) for name in list_calibrations()]
    return [
        own
        for own in every
        if any(fitted(own, f) for formats in own.families.values() for f in formats.values())
    ]


def fitted(calibration: Calibration, family: Family) -> bool:
    """Whether a family was fitted to measurements of its own chip, not carried over."""
    return calibration.sources[family.source]["kind"] == "fitted" and bool(family.covariance)


def main() -> None:
    """Rewrite the file."""
    own = measured()
    default, by_name = spreads(own)
    (DATA / FILE).write_text(written(default, by_name, [c.name for c in own]), encoding="utf-8")


if __name__ == "__main__":
    main()
