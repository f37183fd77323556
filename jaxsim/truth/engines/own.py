"""What are the factors of an engine of one's own, from a handful of runs?

The catalogue's fit is the prior: each number may depart from it by a part of what engines depart
from one another by, and stays within bounds. What runs say about a number shows in its
band; where they say nothing, the number and its band are the prior's.
"""

import datetime
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import least_squares

from jaxsim._progress import Counted, tell
from jaxsim.catalog.engine import Engine, Serving
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.known_engines import EngineCard
from jaxsim.traffic.serving import MEASURES, predict
from jaxsim.truth.engines.data import data_of
from jaxsim.truth.engines.fit import FREE, HELD, Data
from jaxsim.truth.runs import Runs

# Of the freedom that a number has between engines, what it has beside its own generation's fit.
FREEDOM = 0.6
# No number goes further than this many deviations of its prior.
BOUND = 2.5
EIGHTY_PERCENT = 1.2815515655446004
SMALLEST = 1e-9
# Runs that the prior's error counts as, where a run's is mixed with it.
PRIOR_RUNS = 3.0
MOST_EVALUATIONS = 200
# Differences are taken over a hundredth of a deviation, beyond the rounding of single precision;
# they compile once where derivatives of 23 numbers take seconds.
STEP = 1e-2


@dataclass(frozen=True)
class Own:
    """A fitted number: the catalogue's, ours, and the 80 % band around ours."""

    name: str
    before: float
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class OwnEngine:
    """An engine of one's own: its numbers, what is left of the runs, and errors before and after.

    `before` and `after` are the root mean squares of log errors by measure; `sigmas` what a
    prediction's log error is taken to be from now on.
    """

    numbers: tuple[Own, ...]
    rows: int
    before: dict[str, float]
    after: dict[str, float]
    sigmas: dict[str, float]


def _free():
    """Names, lower limits and freedoms of the fitted numbers."""
    names = [free.name for free in FREE]
    lows = np.asarray([getattr(free, "low", 0.0) for free in FREE])
    return names, lows, FREEDOM * np.asarray([free.spread for free in FREE])


def fit_own(runs: Runs, card: EngineCard) -> OwnEngine:
    """The engine's numbers given the runs: the mode of the posterior within bounds, with bands.

    Minimises the squares of log errors over their tolerances and of departures from the prior, in
    the logarithm of each number's part above its lower limit.
    """
    if len(runs) < 1:
        raise InputError("no run can be predicted; there is nothing to fit.")
    data = data_of(runs)
    names, lows, freedom = _free()
    given = {**_numbers(card.engine), **_numbers(card.serving)}
    centre = np.log(np.maximum([given[name] for name in names] - lows, SMALLEST))
    evaluate = _residuals(data, centre, freedom, names, lows, _held(card))
    evaluations = itertools.count(1)

    def counted(x: np.ndarray) -> np.ndarray:
        tell(Counted("fitting", next(evaluations), None, "evaluations"))
        return evaluate(x)

    result = least_squares(
        counted,
        np.full(len(names), STEP),
        diff_step=STEP,
        bounds=(-BOUND, BOUND),
        loss="soft_l1",
        xtol=1e-4,
        ftol=1e-5,
        max_nfev=MOST_EVALUATIONS,
    )
    if not np.isfinite(result.x).all() or result.status <= 0:
        raise InputError(
            "the fit did not converge; the runs may contradict one another. Look for mixed units, "
            "engines or layouts."
        )
    # What departs from the prior has slope 1 exactly, beneath soft L1; a difference may round to 0.
    slopes, prior = result.jac[: -len(names)], (1.0 + result.x**2) ** -1.5
    deviation = np.sqrt(np.diag(np.linalg.inv(slopes.T @ slopes + np.diag(prior))))
    numbers = tuple(
        Own(
            name,
            float(given[name]),
            float(low + math.exp(c + s * x)),
            float(low + math.exp(c + s * (x - EIGHTY_PERCENT * d))),
            float(low + math.exp(c + s * (x + EIGHTY_PERCENT * d))),
        )
        for name, low, c, s, x, d in zip(
            names, lows, centre, freedom, result.x, deviation, strict=True
        )
    )
    count = data.logs.size
    before = _errors(evaluate(np.zeros(len(names)))[:count], data)
    after = _errors(evaluate(result.x)[:count], data)
    return OwnEngine(numbers, len(runs), before, after, _sigmas(card, data, after))


def _held(card: EngineCard) -> dict[str, float]:
    return {**HELD, "graph_tokens": float(card.engine.graph_tokens)}


def _numbers(record: Engine | Serving) -> dict[str, float]:
    return {item.name: float(getattr(record, item.name)) for item in fields(record)}


def _residuals(
    data: Data,
    centre: np.ndarray,
    freedom: np.ndarray,
    names: Sequence[str],
    lows: np.ndarray,
    held: Mapping[str, float],
) -> Callable[[np.ndarray], np.ndarray]:
    """Weighted log errors and departures, of departures in deviations."""
    engines = {item.name for item in fields(Engine)}

    def errors(x: jax.Array):
        values = dict(zip(names, lows + jnp.exp(centre + freedom * x), strict=True))
        engine = Engine(**{name: values[name] for name in names if name in engines}, **held)
        serving = Serving(**{name: values[name] for name in names if name not in engines})
        predicted = jax.vmap(predict, in_axes=(0, 0, None, None))(
            data.steps, data.load, engine, serving
        )
        rate = predicted.requests_per_s * data.load.osl / data.load.gpus
        logs = jnp.log(jnp.stack([predicted.tpot_s, predicted.ttft_s, rate], axis=-1))
        return jnp.concatenate([((logs - data.logs) * data.weights).ravel(), x])

    value = jax.jit(errors)
    return lambda x: np.asarray(value(x), float)


def _errors(weighted: np.ndarray, data: Data) -> dict[str, float]:
    """Root mean squares of log errors by measure, of those that were measured."""
    errors = weighted.reshape(data.weights.shape) / np.where(data.weights > 0, data.weights, 1.0)
    by_measure = {}
    for column, measure in enumerate(MEASURES):
        own = errors[data.weights[:, column] > 0, column]
        if len(own):
            by_measure[measure] = float(np.sqrt(np.mean(own**2)))
    return by_measure


def _sigmas(card: EngineCard, data: Data, after: dict[str, float]) -> dict[str, float]:
    """Log errors to expect: the catalogue's, mixed with what the runs leave, by their number."""
    sigmas = {}
    for column, measure in enumerate(MEASURES):
        prior = card.sigmas.get(measure, card.log_sigma)
        runs = int(np.count_nonzero(data.weights[:, column]))
        left = after.get(measure, 0.0)
        square = (PRIOR_RUNS * prior**2 + runs * left**2) / (PRIOR_RUNS + runs)
        sigmas[measure] = math.sqrt(square)
    return sigmas


def own_toml(own: OwnEngine, card: EngineCard, title: str, files: Sequence[str]) -> str:
    """The file of the engine, which `--engine FILE.toml` reads; each number's band is its note."""
    today = datetime.date.today().isoformat()
    engines = {item.name for item in fields(Engine)}

    def line(name: str, value: float, source: str, note: str = "") -> str:
        said = f', note = "{note}"' if note else ""
        return f'{name} = {{ value = {float(f"{value:.5g}")!r}, from = "{source}"{said} }}'

    def lines(inside: bool) -> list[str]:
        return [
            line(
                one.name,
                one.value,
                "runs",
                f"80 %: {one.low:.4g} to {one.high:.4g}; {card.name}: {one.before:.4g}",
            )
            for one in own.numbers
            if (one.name in engines) == inside
        ]

    plain = ", ".join(name.replace("\\", "/").replace('"', "'") for name in files)
    return "\n".join(
        [
            f"# {title}: fitted to {own.rows} runs by `jaxsim calibrate --runs`.",
            f'title = "{title}"',
            "",
            "[sources.runs]",
            'kind = "fitted"',
            f'source = "{own.rows} runs of {plain}; prior: {card.name} {card.variant}"',
            f"date = {today}",
            "",
            "[sources.held]",
            'kind = "assumed"',
            'source = "Held in the fit, as in the catalogue"',
            f"date = {today}",
            "",
            "[values]",
            *lines(True),
            *(line(name, value, "held") for name, value in _held(card).items()),
            line("log_sigma", own.sigmas["tpot"], "runs"),
            "",
            "[serving]",
            *lines(False),
            "",
            "[sigmas]",
            *(line(name, value, "runs") for name, value in own.sigmas.items()),
            "",
        ]
    )
