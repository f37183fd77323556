"""How near are predictions to a file of measured runs?"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NotRequired, TypedDict, cast

import jax
import numpy as np

from jaxsim._progress import tell
from jaxsim._record import Tree
from jaxsim.catalog.known_engines import EngineCard, load_engine
from jaxsim.catalog.speculation import speculation_prior
from jaxsim.space.deploy.uncertainty import EIGHTY_PERCENT
from jaxsim.traffic.finite import predict_finite
from jaxsim.traffic.serving import MEASURES, predict, predict_at_rate
from jaxsim.truth.cases import Case
from jaxsim.truth.limits import serving_of
from jaxsim.truth.read.rows import ServingRow
from jaxsim.truth.runs import Runs, runs_of

Key = Literal["model", "gpu", "engine", "mode", "precision", "regime", "source"]
Scored = Literal["tpot", "ttft", "output_tokens_per_s_per_gpu", "ttft_all"]
KEYS: tuple[Key, ...] = ("model", "gpu", "engine", "mode", "precision")
# What else errors are shown by, one at a time.
ALSO_BY: tuple[Key, ...] = ("regime", "source")
# Measures that tokens a step divide or multiply.
PER_TOKEN = ("tpot", "output_tokens_per_s_per_gpu")


@dataclass(frozen=True)
class Predicted:
    """One row with its prediction: values in base units by measure, and their log deviations."""

    case: Case
    values: dict[str, float]
    sigmas: dict[str, float]
    variant: str

    @property
    def row(self) -> ServingRow:
        return self.case.row

    def key(self, name: str) -> str:
        """What the row counts under, by the name of a key of groups."""
        named = self.case.named
        return {
            "model": named.model.name,
            "gpu": named.hardware.name,
            "engine": named.engine,
            "mode": self.row.mode,
            "precision": named.quant,
            "regime": self.row.regime or self.row.kind,
            "source": self.row.source,
        }[name]

    def log_error(self, measure: str) -> float | None:
        """Log of predicted over measured, None where not measured or, for TTFT, a queue's."""
        if measure == "ttft" and self.row.queued:
            return None
        name = "ttft" if measure == "ttft_all" else measure
        measured = self.row.measured(name)
        return None if not measured else float(np.log(self.values[name] / measured))

    def interval(self, measure: str) -> tuple[float, float]:
        """The 80 % interval of a prediction."""
        spread = np.exp(EIGHTY_PERCENT * self.sigmas[measure])
        return self.values[measure] / spread, self.values[measure] * spread


@dataclass(frozen=True)
class Validation:
    """All rows of a file: those predicted, and why the others are not."""

    rows: int
    predicted: list[Predicted]
    left_out: list[tuple[ServingRow, str]]
    reasons: dict[str, int]

    @property
    def headline(self) -> list[Predicted]:
        """Predicted rows that count: layout and speculation known, not simulated."""
        return [entry for entry in self.predicted if not entry.row.excluded]


class Score(TypedDict):
    """Errors of one measure as fractions of the measured; None without a row."""

    n: int
    median: float | None
    mean: float | None
    p90: float | None
    bias: float | None
    interval80: float | None


class Scores(TypedDict):
    """Errors of every measure; `ttft` leaves out rows whose first token mostly waits in a queue."""

    tpot: Score
    ttft: Score
    output_tokens_per_s_per_gpu: Score
    ttft_all: Score


class Overall(Scores):
    """Errors of some rows, and how many they are."""

    rows: int


class Group(Scores):
    """Errors of the rows that share some keys; it has the keys that they share."""

    model: NotRequired[str]
    gpu: NotRequired[str]
    engine: NotRequired[str]
    mode: NotRequired[str]
    precision: NotRequired[str]
    regime: NotRequired[str]
    source: NotRequired[str]


class Excluded(Overall):
    """Errors of rows that headline figures leave out for one reason."""

    reason: str


class Coverage(TypedDict):
    """How many rows are predicted, and why the others are not."""

    rows: int
    predicted: int
    reasons: dict[str, int]


class Summary(TypedDict):
    """What `jaxsim validate --format json` says of rows.

    `overall` and `groups` are of headline rows; `by` of one key at a time; `excluded` of
    the rows that headline figures leave out, by reason.
    """

    schema: str
    overall: Overall
    groups: list[Group]
    by: dict[Key, list[Group]]
    excluded: list[Excluded]
    coverage: Coverage


def _stack(records: Sequence[Tree]) -> Tree:
    return jax.tree.map(lambda *leaves: np.asarray(leaves, np.float32), *records)


_predict_rows = jax.jit(jax.vmap(predict))
_predict_rates = jax.jit(jax.vmap(predict_at_rate))
_predict_finite = jax.jit(jax.vmap(predict_finite))


def predict_runs(
    runs: Runs, card_of: Callable[[Case], EngineCard] | None = None
) -> tuple[np.ndarray, list[EngineCard]]:
    """Values of all measures [row, measure], and the engine cards that gave them."""
    known: dict[tuple[str, str, str], EngineCard] = {}

    def default(case: Case) -> EngineCard:
        named = case.named
        key = (named.engine, named.hardware.name, named.model.architecture)
        if key not in known:
            known[key] = load_engine(named.engine, named.hardware.name, named.model)
        return known[key]

    cards = [(card_of or default)(case) for case in runs.cases]
    size = max(64, 1 << max(len(runs) - 1, 0).bit_length())
    index = np.concatenate([np.arange(len(runs)), np.zeros(size - len(runs), int)])

    def padded(tree: Tree) -> Tree:
        return jax.tree.map(lambda leaf: np.asarray(leaf)[index], tree)

    own = [serving_of(c.row, c.named, card) for c, card in zip(runs.cases, cards, strict=True)]
    engines = padded(_stack([card.engine for card in cards]))
    serving = padded(_stack(own))
    given = (padded(runs.steps), padded(runs.load), engines, serving)
    tell(f"predicting {len(runs):,} runs")
    predicted = _predict_rows(*given)
    rates = padded(np.asarray([case.row.requests_per_s or 0.0 for case in runs.cases], np.float32))
    if rates.any():
        sent = padded(np.asarray([case.row.prompts or 0.0 for case in runs.cases], np.float32))
        opened = _predict_rates(*given, rates, sent)
        predicted = jax.tree.map(lambda a, b: np.where(rates > 0.0, a, b), opened, predicted)
    prompts = [case.row.prompts if case.row.finite else 0.0 for case in runs.cases]
    finite = padded(np.asarray(prompts, np.float32))
    if finite.any():
        spread = padded(np.asarray([case.row.osl_cv for case in runs.cases], np.float32))
        run = _predict_finite(*given, np.maximum(finite, 1.0), spread)
        use = (finite > 0.0) & np.asarray(run.followed)
        names = ("ttft_s", "tpot_s", "requests_per_s")
        pick = {name: np.where(use, getattr(run, name), getattr(predicted, name)) for name in names}
        predicted = replace(predicted, **pick)
    rate = np.asarray(predicted.requests_per_s) * padded(runs.load).osl / padded(runs.load).gpus
    values = np.stack([np.asarray(predicted.tpot_s), np.asarray(predicted.ttft_s), rate], axis=-1)
    return values[: len(runs)].astype(float), cards


def validate(
    rows: Sequence[ServingRow], card_of: Callable[[Case], EngineCard] | None = None
) -> Validation:
    """Every row of a file predicted, or left out with a reason; `card_of` chooses its engine."""
    runs = runs_of(rows)
    values, cards = predict_runs(runs, card_of)
    predicted = []
    for case, own, card in zip(runs.cases, values, cards, strict=True):
        known = card.kind_sigmas.get(case.row.kind, card.sigmas)
        sigmas = {name: known.get(name, card.log_sigma) for name in MEASURES}
        if case.row.excluded and case.row.draft_tokens:  # by a prior: tokens a step are not known
            more = speculation_prior().log_sigma
            sigmas |= {name: float(np.hypot(sigmas[name], more)) for name in PER_TOKEN}
        measures: dict[str, float] = dict(zip(MEASURES, map(float, own), strict=True))
        predicted.append(Predicted(case, measures, sigmas, card.variant))
    return Validation(len(rows), predicted, runs.left_out, runs.reasons)


def score(entries: Iterable[Predicted], measure: Scored) -> Score:
    """Count, median, mean, 90th percentile and bias of the error, as fractions of the measured.

    The error is |predicted/measured - 1|, the bias the median of its signed value. `interval80` is
    the fraction of rows whose measurement lies in the predicted 80 % interval. Without a row, each
    but the count is None.
    """
    name = "ttft" if measure == "ttft_all" else measure
    pairs = [(entry.log_error(measure), entry.sigmas[name]) for entry in entries]
    errors = np.asarray([error for error, _ in pairs if error is not None])
    sigmas = np.asarray([sigma for error, sigma in pairs if error is not None])
    if not len(errors):
        return Score(n=0, median=None, mean=None, p90=None, bias=None, interval80=None)
    signed = np.expm1(errors)
    size = np.abs(signed)
    return {
        "n": len(errors),
        "median": float(np.median(size)),
        "mean": float(size.mean()),
        "p90": float(np.quantile(size, 0.9)),
        "bias": float(np.median(signed)),
        "interval80": float(np.mean(np.abs(errors) <= EIGHTY_PERCENT * sigmas)),
    }


def scores(entries: Sequence[Predicted]) -> Scores:
    """The error of every measure."""
    return {
        "tpot": score(entries, "tpot"),
        "ttft": score(entries, "ttft"),
        "output_tokens_per_s_per_gpu": score(entries, "output_tokens_per_s_per_gpu"),
        "ttft_all": score(entries, "ttft_all"),
    }


def groups(entries: Sequence[Predicted], keys: Sequence[Key] = KEYS) -> list[Group]:
    """The errors of every combination of keys that occurs, the largest first."""
    members: dict[tuple[str, ...], list[Predicted]] = {}
    for entry in entries:
        members.setdefault(tuple(entry.key(name) for name in keys), []).append(entry)
    ordered = sorted(members.items(), key=lambda item: (-len(item[1]), item[0]))
    return [
        cast(Group, {**dict(zip(keys, key, strict=True)), **scores(own)}) for key, own in ordered
    ]


def summary(result: Validation) -> Summary:
    """The errors of a validation: all, by groups, by key, and of rows left out."""
    headline = result.headline
    excluded: dict[str, list[Predicted]] = {}
    for entry in result.predicted:
        if entry.row.excluded:
            excluded.setdefault(entry.row.excluded, []).append(entry)
    return {
        "schema": "jaxsim.validate/1",
        "overall": {"rows": len(headline), **scores(headline)},
        "groups": groups(headline),
        "by": {name: groups(headline, (name,)) for name in (*KEYS, *ALSO_BY)},
        "excluded": [
            {"reason": reason, "rows": len(own), **scores(own)}
            for reason, own in sorted(excluded.items(), key=lambda item: -len(item[1]))
        ],
        "coverage": {
            "rows": result.rows,
            "predicted": len(result.predicted),
            "reasons": result.reasons,
        },
    }
