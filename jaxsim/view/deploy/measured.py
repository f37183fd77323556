"""Which of a plan's numbers held when it was measured, and which constant explains the rest?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from jaxsim.catalog.errors import InputError
from jaxsim.catalog.known_engines import NO_SOFTWARE, EngineCard, load_engine
from jaxsim.catalog.setup import Setup, setup_of
from jaxsim.space.deploy.uncertainty import WHOLE, sources_of
from jaxsim.truth.cases import Case
from jaxsim.truth.read.clients.stated import Stated
from jaxsim.truth.read.rows import ServingRow
from jaxsim.truth.validate import Predicted, validate
from jaxsim.view.deploy.order import Order, Pool
from jaxsim.view.text.measured import CauseOf, Explained, HeldFile, Measure, Run

SCHEMA = "jaxsim.held/1"
# How far (in log, one deviation) what the engine adds beside kernels may be from its fit.
OVERHEAD_SIGMA = 0.5
SHOWN = 3
# Nearer than this, a measured run is at the plan's own load.
SAME_LOAD = 0.1


@dataclass(frozen=True)
class Cause:
    """One constant that would explain a difference by itself: times `factor`, `deviations` away."""

    name: str
    share: float
    factor: float
    deviations: float


def stated_of(order: Order, engine: str = "") -> Stated:
    """What the plan says about a run of it, for readers of files that do not."""
    last = order.pools[-1]
    widths: dict[str, float] = {
        "tp": float(last.tp),
        "ep": float(last.ep),
        "pp": float(last.pp),
        "instances": float(last.count),
    }
    if order.kind == "disaggregated":
        prefill = order.pool("prefill")
        widths |= {
            "prefill_tp": float(prefill.tp),
            "prefill_ep": float(prefill.ep),
            "prefill_pp": float(prefill.pp),
            "prefill_instances": float(prefill.count),
        }
    return Stated(
        model=order.model.name,
        hardware=last.hardware,
        engine=_name(order, engine),
        precision=order.precision,
        hit_frac=order.hit_frac or None,
        draft_tokens=float(order.draft_tokens) or None,
        accept_frac=order.accept_frac if order.draft_tokens else None,
        **widths,
    )


def _name(order: Order, engine: str) -> str:
    """The engine that ran, by name; a file of one's own stands for the plan's."""
    known = "" if engine.endswith(".toml") else engine
    return known or (order.engine if order.engine not in NO_SOFTWARE else "")


def causes(pool: Pool, setup: Setup, ratio: float) -> list[Cause]:
    """Constants that alone would make a pool's time `ratio` of what it is, likeliest first.

    A part with the share s of the time explains a ratio r if it takes 1 + (r - 1)/s times as long.
    How likely that is follows from the error that the part's fit left, in standard deviations of
    its logarithm; parts of one fit move together.
    """
    total = sum(pool.parts_s.values())
    sources = sources_of(pool.role, setup)
    shares: dict[str, tuple[float, float]] = {}
    for part, seconds in pool.parts_s.items():
        name, sigma = sources.get(part, (f"{setup.engine.name} overhead", OVERHEAD_SIGMA))
        share, _ = shares.get(name, (0.0, sigma))
        shares[name] = (share + seconds / total, sigma)
    name, sigma = sources[WHOLE]
    shares[name] = (1.0, sigma)
    able: list[Cause] = []
    for name, (share, sigma) in shares.items():
        factor = 1.0 + (ratio - 1.0) / share if share > 0.0 else -1.0
        if factor > 0.0 and sigma > 0.0:
            able.append(Cause(name, share, factor, math.log(factor) / sigma))
    return sorted(able, key=lambda cause: abs(cause.deviations))


def held(order: Order, rows: Sequence[ServingRow], engine: str = "") -> HeldFile:
    """What held of a plan in measured runs; the run nearest to its load is the verdict."""
    result = validate(rows, _own_card(engine))
    if not result.predicted:
        reason = next(iter(result.reasons), "no row")
        raise InputError(f"No run of the file can be compared with the plan: {reason}.")
    entries = [_entry(order, one) for one in result.predicted]
    nearest = min(range(len(entries)), key=lambda k: _distance(order, result.predicted[k].row))
    verdict = entries[nearest]
    verdict["explained"] = _explained(order, verdict, engine)
    return {
        "schema": SCHEMA,
        "plan": {
            "model": order.model.name,
            "kind": order.kind,
            "engine": order.engine,
            "concurrency": order.concurrency,
            "digest": order.digest,
        },
        "verdict": verdict,
        "runs": entries,
        "left_out": result.reasons,
    }


def _own_card(engine: str):
    """The engine of a TOML file for every run; None where a name chooses the catalogue's."""
    if not engine.endswith(".toml"):
        return None

    def card_of(case: Case) -> EngineCard:
        return load_engine(engine, case.named.hardware.name, case.named.model)

    return card_of


def _distance(order: Order, row: ServingRow) -> float:
    """How far a run's load is from the plan's, in log."""
    if row.requests_per_s:
        return abs(math.log(row.requests_per_s / order.requests_per_s))
    return abs(math.log((row.concurrency or 1.0) / order.concurrency))


def _entry(order: Order, one: Predicted) -> Run:
    row = one.row
    measured: dict[Measure, float | None] = {
        "ttft": row.ttft_s,
        "tpot": row.tpot_s,
        "output_tokens_per_s_per_gpu": row.output_tokens_per_s_per_gpu,
    }
    planned: dict[Measure, float] = {
        "ttft": order.ftl_s,
        "tpot": order.ttl_s,
        "output_tokens_per_s_per_gpu": order.output_tokens_per_s_per_gpu,
    }
    at_plan = _distance(order, row) <= SAME_LOAD
    targets: dict[Measure, float] = {"ttft": order.ftl_target_s, "tpot": order.ttl_target_s}
    verdicts: dict[Measure, bool | None] = {}
    for name, target in targets.items():
        value = measured[name]
        verdicts[name] = None if value is None else bool(value <= target)
    rate = measured["output_tokens_per_s_per_gpu"]
    verdicts["output_tokens_per_s_per_gpu"] = (
        None if rate is None or not at_plan else bool(rate >= order.interval[0])
    )
    return {
        "concurrency": row.concurrency,
        "requests_per_s": row.requests_per_s,
        "at_the_plans_load": at_plan,
        "measured": measured,
        "planned": planned,
        "predicted_at_this_load": dict(one.values),
        "interval80": {name: one.interval(name) for name in one.values},
        "held": verdicts,
        "queued": row.queued,
    }


def _explained(order: Order, entry: Run, engine: str) -> dict[Measure, Explained]:
    """What would explain each latency of a run, against what is predicted at its own load."""
    pools: dict[Measure, Pool] = {"tpot": order.pools[-1], "ttft": order.pools[0]}
    explained: dict[Measure, Explained] = {}
    for name, pool in pools.items():
        value, ours = entry["measured"][name], entry["predicted_at_this_load"][name]
        if not value or (name == "ttft" and entry["queued"]):
            continue
        setup = setup_of(order.model, pool.hardware, order.precision, engine or order.engine)
        ratio = value / ours
        explained[name] = {
            "ratio": ratio,
            "inside": entry["interval80"][name][0] <= value <= entry["interval80"][name][1],
            "causes": [_cause(one) for one in causes(pool, setup, ratio)[:SHOWN]],
        }
    return explained


def _cause(one: Cause) -> CauseOf:
    return {
        "name": one.name,
        "share": one.share,
        "factor": one.factor,
        "deviations": one.deviations,
    }
