"""What plan do the options of `jaxsim plan` ask for, at once or in stages?"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypedDict

from jaxsim.view.cli import arrivals, options

if TYPE_CHECKING:
    from jaxsim.catalog.cards import HardwareCard, ModelCard
    from jaxsim.catalog.workload import Share, Workload
    from jaxsim.space.axes import Space
    from jaxsim.space.deploy.request import PlanRequest
    from jaxsim.space.deploy.result import Plan
    from jaxsim.space.deploy.sweep import Evaluate

STAGES = 3  # of a plan that follows changes


class PlanFields(arrivals.Arrivals):
    """Fields of a `PlanRequest` but for the workload."""

    ftl_s: float
    ttl_s: float
    max_gpus: int | None
    exact_gpus: int | None
    fixed_ratio: float | None
    tolerance: float
    pack: bool
    objective: str
    ttl_metric: str
    deployable: str


def solved(
    args: argparse.Namespace,
    fields: PlanFields,
    domain: int | None,
    axes: dict[str, tuple[float, ...]],
    workload: "Workload | Sequence[Share]",
    *,
    choices: bool,
) -> "Plan":
    """The plan, at once."""
    import jaxsim

    model, hardware, request, others = arguments(args, fields, domain, axes, workload)
    return jaxsim.plan(model, hardware, request, choices=choices, **others)


def staged(
    args: argparse.Namespace,
    fields: PlanFields,
    domain: int | None,
    axes: dict[str, tuple[float, ...]],
    workload: "Workload | Sequence[Share]",
    evaluate: "Evaluate",
) -> "Iterator[Plan]":
    """The plan as it becomes known, with choices, in `STAGES`; each when it is asked for."""
    from jaxsim.api.stages import plan_stages

    model, hardware, request, others = arguments(args, fields, domain, axes, workload)
    return plan_stages(model, hardware, request, evaluate=evaluate, **others)


def arguments(
    args: argparse.Namespace,
    fields: PlanFields,
    domain: int | None,
    axes: dict[str, tuple[float, ...]],
    workload: "Workload | Sequence[Share]",
) -> "tuple[str | ModelCard, HardwareCard, PlanRequest, PlanOptions]":
    """What Python's `plan` is called with: model, hardware, request, and keywords."""
    import jaxsim
    from jaxsim.catalog.cards import with_domain

    prices = options.prices_from(args)

    def load(name: str) -> "HardwareCard":
        card = options.at_prices(jaxsim.load_hardware(name), prices)
        return card if domain is None else with_domain(card, domain)

    request = jaxsim.PlanRequest(workload=workload, **fields)
    others: PlanOptions = {
        "prefill_hardware": args.prefill_hardware and load(args.prefill_hardware),
        "space": replace(jaxsim.Space(), **axes) if axes else None,
        "precision": args.precision,
        "engine": args.engine,
    }
    return options.model_from(args), load(args.hardware), request, others


class PlanOptions(TypedDict):
    """Keywords of a plan beside its request."""

    prefill_hardware: "HardwareCard | None"
    space: "Space | None"
    precision: str | None
    engine: str | None
