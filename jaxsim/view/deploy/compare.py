"""How does a plan stand beside what AIConfigurator found for the same request?

Both are predictions. Of each kind there are up to three lines: the plan's own design, the best of
AIConfigurator's under the plan's targets, and what jaxsim predicts for that same design.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxsim.catalog.errors import InputError
from jaxsim.traffic.layout import Layout
from jaxsim.truth.read.rows import ServingRow
from jaxsim.truth.validate import Predicted, validate
from jaxsim.view.deploy.order import Order
from jaxsim.view.deploy.plan_file import KINDS, order_of, read_plan
from jaxsim.view.text.compare import Compared, ComparisonFile

SCHEMA = "jaxsim.compare/1"


@dataclass(frozen=True)
class Comparison:
    """A plan beside another tool's designs: entries by kind, and errors of all its designs."""

    model: str
    isl: int
    osl: int
    ftl_s: float
    ttl_s: float
    entries: tuple[Compared, ...]
    designs: int
    within: dict[str, int]
    median_difference: dict[str, float]
    left_out: dict[str, int]


def compare(plan: Path, rows: Sequence[ServingRow]) -> Comparison:
    """The plan beside the designs, which must be of its model and lengths."""
    raw = read_plan(plan)
    orders = [order_of(plan, kind) for kind in KINDS if raw.get(kind) is not None]
    if not orders:
        raise InputError(f"{plan}: no design meets its targets: there is nothing to compare.")
    own = orders[0]
    alike = [row for row in rows if (row.isl, row.osl) == (own.isl, own.osl)]
    if not alike:
        held = sorted({f"{row.isl:g}/{row.osl:g}" for row in rows})
        raise InputError(
            f"The designs have input and output lengths {', '.join(held)}, the plan has "
            f"{own.isl}/{own.osl}; plan with --isl and --osl as there."
        )
    result = validate(alike)
    ours = [one for one in result.predicted if one.case.named.model.name == own.model.name]
    if not ours:
        held = sorted({one.case.named.model.name for one in result.predicted})
        raise InputError(f"The designs are of {', '.join(held)}, the plan of {own.model.name}.")
    entries: list[Compared] = []
    within: dict[str, int] = {}
    for kind in KINDS:
        entries += [_planned(order) for order in orders if order.kind == kind]
        good = [one for one in ours if one.row.mode == kind and _meets(one.row, own)]
        within[kind] = len(good)
        if good:
            best = max(good, key=lambda one: one.row.output_tokens_per_s_per_gpu or 0.0)
            entries += _theirs(kind, best)
    return Comparison(
        model=own.model.name,
        isl=own.isl,
        osl=own.osl,
        ftl_s=own.ftl_target_s,
        ttl_s=own.ttl_target_s,
        entries=tuple(entries),
        designs=len(ours),
        within=within,
        median_difference=_median_difference(ours),
        left_out=result.reasons,
    )


def _meets(row: ServingRow, order: Order) -> bool:
    ttft, tpot = row.ttft_s or 0.0, row.tpot_s or 0.0
    return ttft <= order.ftl_target_s and tpot <= order.ttl_target_s


def _planned(order: Order) -> Compared:
    return Compared(
        kind=order.kind,
        by="jaxsim",
        found_by="jaxsim",
        design=" + ".join(
            shape_words(
                Layout(pool.tp, pool.ep, pool.pp, pool.count),
                pool.role if len(order.pools) > 1 else "",
            )
            for pool in order.pools
        ),
        engine=order.engine,
        gpus=order.gpus,
        ttft_s=order.ftl_s,
        tpot_s=order.ttl_s,
        output_tokens_per_s_per_gpu=order.output_tokens_per_s_per_gpu,
    )


def _theirs(kind: str, best: Predicted) -> list[Compared]:
    """A design of theirs, as they and as we predict it."""
    row = best.row
    assert row.decode is not None
    pools = [(row.prefill, "prefill"), (row.decode, "decode" if row.prefill else "")]
    design = " + ".join(shape_words(pool, role) for pool, role in pools if pool is not None)

    def entry(by: str, ttft: float, tpot: float, rate: float) -> Compared:
        return Compared(
            kind=kind, by=by, found_by=row.source, design=design, engine=best.case.named.engine,
            gpus=row.gpus, ttft_s=ttft, tpot_s=tpot, output_tokens_per_s_per_gpu=rate,
        )  # fmt: skip

    theirs = (row.ttft_s or 0.0, row.tpot_s or 0.0, row.output_tokens_per_s_per_gpu or 0.0)
    values = best.values
    ours = (values["ttft"], values["tpot"], values["output_tokens_per_s_per_gpu"])
    return [entry(row.source, *theirs), entry("jaxsim", *ours)]


def shape_words(pool: Layout, role: str) -> str:
    """A pool in words: instances × widths, those of 1 left out but for TP."""
    widths = [f"TP {pool.tp:g}"]
    widths += [f"EP {pool.ep:g}"] if pool.ep > 1 else []
    widths += [f"PP {pool.pp:g}"] if pool.pp > 1 else []
    return f"{pool.workers:g} {role} × {', '.join(widths)}".replace("  ", " ")


def _median_difference(ours: Sequence[Predicted]) -> dict[str, float]:
    """The median of |ours/theirs - 1| over all designs, by measure."""
    medians: dict[str, float] = {}
    for measure in ("ttft", "tpot", "output_tokens_per_s_per_gpu"):
        pairs = [(one.values[measure], one.row.measured(measure)) for one in ours]
        errors = sorted(abs(a / b - 1.0) for a, b in pairs if b)
        if errors:
            middle = len(errors) // 2
            medians[measure] = 0.5 * (errors[middle] + errors[-1 - middle])
    return medians


def compare_dict(result: Comparison) -> ComparisonFile:
    """The same for scripts."""
    return {
        "schema": SCHEMA,
        "model": result.model,
        "workload": {"isl": result.isl, "osl": result.osl},
        "targets": {"ftl_s": result.ftl_s, "ttl_s": result.ttl_s},
        "entries": list(result.entries),
        "designs": result.designs,
        "within_targets": result.within,
        "median_difference": result.median_difference,
        "left_out": result.left_out,
    }
