"""How far off were predicted gains of disaggregation, where both modes were measured?"""

import tomllib
from dataclasses import dataclass
from functools import cache

from jaxsim.catalog.names import DATA


@dataclass(frozen=True)
class GainError:
    """The joint error of both modes, and what was measured.

    `log_sigma` is of the log of predicted over measured gain, and `per_doubling` what each doubling
    beyond what was measured adds. `most` has the largest value of each
    quantity among the measured pairs, and `gpus` the chips they ran on.
    """

    log_sigma: float
    per_doubling: float
    most: dict[str, float]
    gpus: tuple[str, ...]
    source: str


@cache
def load_gain() -> GainError:
    """The joint error as it was estimated, from the catalogue."""
    given = tomllib.loads((DATA / "gain.toml").read_text(encoding="utf-8"))
    return GainError(
        float(given["log_sigma"]["value"]),
        float(given["per_doubling"]["value"]),
        {name: float(value) for name, value in given["most"]["value"].items()},
        tuple(given["gpus"]["value"]),
        str(given["log_sigma"]["source"]),
    )
