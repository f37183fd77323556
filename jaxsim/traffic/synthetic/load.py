"""Which requests arrive at a rate that is drawn: at random, in bursts, by day and night?"""

import math
from dataclasses import dataclass, fields, replace
from typing import Required, TypedDict, Unpack

import numpy as np

from jaxsim.catalog.errors import InputError, check_known
from jaxsim.traffic.read.requests import Requests, requests_of
from jaxsim.traffic.synthetic.lengths import Lengths, parse_lengths

MOST_REQUESTS = 50_000_000
DAY_S = 86400.0


@dataclass(frozen=True)
class Load:
    """A law of arrivals over `duration_s`, and of the lengths of what arrives.

    Gaps are a renewal process in operational time: exponential for `cv` = 1 (Poisson), of a Gamma
    law with this coefficient of variation otherwise, all equal for 0. The rate follows
    `requests_per_s` · (1 + swing · sin(2π (t - phase)/period)) with the swing of `peak_over_mean`
    - 1, so that day and night differ. `users` > 0 closes the loop.
    """

    requests_per_s: float
    duration_s: float
    isl: Lengths
    osl: Lengths
    cv: float = 1.0
    peak_over_mean: float = 1.0
    period_s: float = DAY_S
    users: int = 0
    think_s: float = 0.0
    count: int = 0

    def drawn(self, seed: int) -> Requests:
        """The requests of one seed."""
        generator = np.random.default_rng(seed)
        times = np.zeros(self.count) if self.users else self._times(generator)
        progress = times / max(self.duration_s, 1e-9)
        isl = self.isl.drawn(progress, generator)
        osl = self.osl.drawn(progress, generator)
        if not len(times):
            raise InputError(
                f"no request arrives in {self.duration_s:g} s at {self.requests_per_s:g} "
                "requests/s: make the time longer."
            )
        requests = requests_of(times, isl, osl, name=self.name)
        if self.users:
            requests = replace(requests, closed_users=self.users, think_s=self.think_s)
        return requests

    @property
    def name(self) -> str:
        """What it is, in words."""
        if self.users:
            return f"closed loop of {self.users} users"
        law = "Poisson" if self.cv == 1.0 else f"Gamma (cv {self.cv:g})"
        law = "constant" if self.cv == 0.0 else law
        day = f", peak {self.peak_over_mean:g} × mean" if self.peak_over_mean > 1.0 else ""
        return f"{law} {self.requests_per_s:g}/s{day}"

    def _times(self, generator: np.random.Generator) -> np.ndarray:
        wanted = self.requests_per_s * self.duration_s
        count = int(wanted + 6.0 * max(self.cv, 1.0) * math.sqrt(wanted + 1.0) + 20)
        if count > MOST_REQUESTS:
            raise InputError(f"{wanted:,.0f} requests are too many; {MOST_REQUESTS:,} at most.")
        if self.cv == 0.0:
            gaps = np.ones(count)
        else:
            shape = 1.0 / self.cv**2
            gaps = generator.gamma(shape, 1.0 / shape, count)
        gaps[0] *= generator.random()
        operational = np.cumsum(gaps)  # at a rate of one a unit
        grid = np.linspace(0.0, self.duration_s, 4097)
        swing = self.peak_over_mean - 1.0
        turns = 2.0 * math.pi / self.period_s
        # Its integral; it starts at the mean, on the way up.
        done = self.requests_per_s * (grid + swing / turns * (1.0 - np.cos(turns * grid)))
        return np.interp(operational[operational < done[-1]], done, grid)


@dataclass(frozen=True)
class LoadRequest:
    """What `load_of` makes a `Load` of: lengths as numbers or laws such as `uniform:20:60`.

    `drift` is what mean ISL and OSL are multiplied by at the end. A closed loop has `users`, who
    wait `think_s` between requests, and `count` requests in all; an open one has a rate and a
    duration. The rest is as in `Load`.
    """

    isl: str | float
    osl: str | float
    requests_per_s: float = 0.0
    duration_s: float = 600.0
    cv: float = 1.0
    peak_over_mean: float = 1.0
    period_s: float = DAY_S
    drift: tuple[float, float] = (1.0, 1.0)
    users: int = 0
    think_s: float = 0.0
    count: int = 0


class LoadKeywords(TypedDict, total=False):
    """Fields of a `LoadRequest`."""

    isl: Required[str | float]
    osl: Required[str | float]
    requests_per_s: float
    duration_s: float
    cv: float
    peak_over_mean: float
    period_s: float
    drift: tuple[float, float]
    users: int
    think_s: float
    count: int


def load_of(**keywords: Unpack[LoadKeywords]) -> Load:
    """A checked load from the fields of a `LoadRequest`; an InputError says what is impossible.

    >>> load = jaxsim.load_of(isl="256", osl="32", requests_per_s=2.0, duration_s=10.0)
    >>> load.name, len(load.drawn(0)) > 5
    ('Poisson 2/s', True)
    """
    check_known("load_of", keywords, [item.name for item in fields(LoadRequest)])
    if missing := {"isl", "osl"} - keywords.keys():
        raise TypeError(f"jaxsim.load_of() lacks {', '.join(sorted(missing))}")
    request = LoadRequest(**keywords)
    positive = {
        "duration": request.duration_s,
        "period": request.period_s,
        "drift of ISL": request.drift[0],
        "drift of OSL": request.drift[1],
    }
    if request.users:
        positive["requests in all"] = request.count
    else:
        positive["rate"] = request.requests_per_s
    for what, value in positive.items():
        if not (math.isfinite(value) and value > 0.0):
            raise InputError(f"{what} = {value:g}: more than 0 is needed.")
    if not (math.isfinite(request.cv) and 0.0 <= request.cv <= 100.0):
        raise InputError(
            f"cv = {request.cv:g}: a coefficient of variation between 0 and 100 is needed."
        )
    if not 1.0 <= request.peak_over_mean <= 2.0:
        raise InputError(
            f"peak over mean = {request.peak_over_mean:g}: between 1 and 2, no rate is below 0."
        )
    if request.think_s < 0.0 or request.users < 0:
        raise InputError("a closed loop has at least one user, and a think time of 0 or more.")
    return Load(
        float(request.requests_per_s),
        float(request.duration_s),
        replace(parse_lengths(str(request.isl), "ISL"), drift=request.drift[0]),
        replace(parse_lengths(str(request.osl), "OSL"), drift=request.drift[1]),
        cv=float(request.cv),
        peak_over_mean=float(request.peak_over_mean),
        period_s=float(request.period_s),
        users=int(request.users),
        think_s=float(request.think_s),
        count=int(request.count),
    )
