"""How far off were predicted gains of disaggregation, where both modes were measured?"""

import datetime
import tomllib
from dataclasses import dataclass
from functools import cache

from jaxsim.catalog.names import DATA

DAYS_A_MONTH = 365.25 / 12.0


@dataclass(frozen=True)
class GainError:
    """The joint error of both modes, and what was measured.

    `log_sigma` is of the log of predicted over measured gain, and `per_doubling` what each doubling
    beyond what was measured adds. `most` has the largest value of each
    quantity among the measured pairs, and `gpus` the chips they ran on. Engines serve
    `monthly_frac` more (as a logarithm) with every month after `month`, the mean date of what they
    were fitted to.
    """

    log_sigma: float
    per_doubling: float
    most: dict[str, float]
    gpus: tuple[str, ...]
    source: str
    monthly_frac: float = 0.0
    month: datetime.date = datetime.date(2026, 2, 15)

    def progress(self, date: str) -> float:
        """The log of how much more an engine of that date serves; 0 where none is stated."""
        try:
            days = (datetime.date.fromisoformat(date[:10]) - self.month).days
        except ValueError:
            return 0.0
        return self.monthly_frac * days / DAYS_A_MONTH


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
        float(given["monthly_frac"]["value"]),
        given["month"]["value"],
    )
