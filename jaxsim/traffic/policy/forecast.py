"""What will the next interval bring, by the past ones?"""

import numpy as np

from jaxsim.catalog.errors import InputError
from jaxsim.traffic.policy.view import View, Window

FORECASTS = ("last", "average", "exponential", "holt", "oracle")
AVERAGED = 5
LEVEL, TREND = 0.5, 0.2


def forecast(view: View, kind: str) -> Window:
    """The next interval: last value, mean of the last five, exponential, Holt's, or the truth."""
    if kind == "oracle":
        return view.ahead
    past = view.windows
    if kind == "last" or len(past) < 2:
        return past[-1]
    table = np.array([[w.requests_per_s, w.isl, w.osl] for w in past])
    if kind == "average":
        rate, isl, osl = table[-AVERAGED:].mean(axis=0)
        return Window(rate, isl, osl, past[-1].spread)
    level, trend = table[0], np.zeros(3)
    for row in table[1:]:
        before = level
        level = LEVEL * row + (1.0 - LEVEL) * (level + (trend if kind == "holt" else 0.0))
        trend = TREND * (level - before) + (1.0 - TREND) * trend
    ahead = level + (trend if kind == "holt" else 0.0)
    rate, isl, osl = np.maximum(ahead, [0.0, 1.0, 1.0])
    return Window(rate, isl, osl, past[-1].spread)


def check_forecast(kind: str) -> str:
    """The kind, or an InputError with those that there are."""
    if kind not in FORECASTS:
        raise InputError(f"forecast {kind!r}: it is one of {', '.join(FORECASTS)}.")
    return kind
