"""What can Python call?  estimate, evaluate, frontier and plan, on names or records."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from jaxsim.api.dataset import attributes, designs_of, end_attributes, tree_of
from jaxsim.api.request import plan_request
from jaxsim.api.spreads import colocated_ends, disaggregated_ends, inputs_of, sources_in
from jaxsim.catalog.cards import HardwareCard, ModelCard
from jaxsim.catalog.deployment import Deployment
from jaxsim.catalog.engine import Options
from jaxsim.catalog.engines import EngineCard
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.limits import check_context, within_context
from jaxsim.catalog.precision import Precision
from jaxsim.catalog.setup import setup_of
from jaxsim.catalog.workload import Share, Workload
from jaxsim.point.explain import Explanation, explain
from jaxsim.quantities import MODES
from jaxsim.space.axes import Space, complete
from jaxsim.space.deploy.candidates import (
    colocated_candidates,
    colocated_frontier,
    decode_candidates,
    disaggregated_frontier,
    prefill_candidates,
)
from jaxsim.space.deploy.request import PlanRequest
from jaxsim.space.deploy.result import Plan
from jaxsim.space.deploy.uncertainty import interval, spread_of
from jaxsim.space.designs import PHASES, evaluate_on_device, evaluate_phase
from jaxsim.space.plan import plan as plan_of


def estimate(
    model: str | ModelCard,
    hardware: str | HardwareCard,
    workload: Workload,
    *,
    phase: str,
    tp: float,
    ep: float = 1,
    pp: float = 1,
    batch: float = 1,
    chunk: float | None = None,
    precision: str | Precision | None = None,
    engine: str | EngineCard | None = None,
    options: Options | None = None,
) -> Explanation:
    """One design, explained: the time of every kernel and message, memory, rules, outputs.

    `interval_s` of the result holds its `total_s` with 80 %, by what fits left unexplained.

    `phase` is prefill, decode or colocated; `chunk` defaults to the whole prompt. Times are in
    seconds, sizes in bytes.
    """
    if phase not in PHASES:
        raise InputError(f"phase {phase!r}: it is one of {', '.join(PHASES)}")
    sizes = {"tp": tp, "ep": ep, "pp": pp, "batch": batch, "chunk": chunk or float(workload.isl)}
    for name, value in sizes.items():
        if not (np.isfinite(value) and value >= 1 and value == int(value)):
            raise InputError(f"{name} = {value}: a whole number of at least 1 is needed")
    setup = setup_of(model, hardware, precision, engine, options)
    if ep > 1 and not setup.model.is_moe:
        raise InputError(f"ep = {ep}: {setup.model.name} is dense, without experts; leave ep at 1")
    design = Deployment(**{name: float(value) for name, value in sizes.items()})
    explanation = explain(setup.scenario(workload, design), phase)
    fits = within_context(setup.model, float(workload.isl), float(workload.osl))
    explanation = replace(explanation, rules={**explanation.rules, "within_context": fits})
    parts: dict[str, float] = {}
    for part in explanation.parts:
        parts[part.part] = parts.get(part.part, 0.0) + part.seconds
    ends = interval(explanation.total_s, spread_of(parts, phase, setup))
    return replace(explanation, interval_s=ends, formats=setup.formats, notes=setup.notes)


def lengths_in(workload: Workload) -> tuple[Workload, tuple[float, ...], tuple[float, ...]]:
    """The workload at the first of its lengths, and all of its input and output lengths."""
    isl, osl = (
        tuple(np.atleast_1d(np.asarray(x, dtype=float))) for x in (workload.isl, workload.osl)
    )
    return replace(workload, isl=isl[0], osl=osl[0]), isl, osl


def evaluate(
    model: str | ModelCard,
    hardware: str | HardwareCard,
    workload: Workload,
    space: Space | None = None,
    *,
    precision: str | Precision | None = None,
    engine: str | EngineCard | None = None,
    options: Options | None = None,
    phases: tuple[str, ...] = ("prefill", "decode", "colocated"),
    device: bool = False,
) -> xr.DataTree:
    """Every design of a space, in every phase: a DataTree with /prefill, /decode and /colocated.

    Dimensions are the axes (isl, osl, tp, ep, pp, chunk, batch); a variable has those it depends
    on, and broadcasts when combined. `workload.isl` and `workload.osl` may be sequences. Designs
    that break a rule keep their numbers and have `valid` false. SI units, in each variable's
    attributes. With `device` the variables hold JAX arrays where JAX evaluated them, on a GPU if
    there is one: nothing is copied to the host until `.values` is asked for.
    """
    setup = setup_of(model, hardware, precision, engine, options)
    one, isl, osl = lengths_in(workload)
    scenario = setup.scenario(one)
    filled = complete(space, scenario.model, scenario.hardware, max(isl))
    of_phase = evaluate_on_device if device else evaluate_phase
    swept = {name: of_phase(name, scenario, filled, isl, osl) for name in phases}
    notes = {"dropped": "; ".join(filled.dropped)} if filled.dropped else {}
    return tree_of(swept, {**inputs_of(setup), **notes})


def frontier(
    tree: xr.DataTree,
    *,
    ftl_s: float = np.inf,
    ttl: str = "mean",
    max_gpus: int | None = None,
    ratio: float | None = None,
) -> xr.DataTree:
    """The disaggregated and co-located frontiers of evaluated phases, rate-matched.

    A DataTree with /disaggregated and /colocated; in each, `output_tokens_per_s_per_gpu` with both
    ends of its 80 % interval (`…_low`, `…_high`) and the design behind it, on the dimension
    `ttl_s`: the least token latency that gives so much. Only designs under `ftl_s` count. Needs
    one workload: select `isl` and `osl` first.
    """
    missing = {"prefill", "decode", "colocated"} - set(tree.children)
    if missing:
        lacking = ", /".join(sorted(missing))
        raise InputError(f"the tree lacks /{lacking}; evaluate all phases first")
    phases = {name: designs_of(tree[name].to_dataset()) for name in tree.children}
    osl = float(phases["decode"].axes["osl"][0])
    prefill = prefill_candidates(phases["prefill"])
    decode = decode_candidates(phases["decode"], float(tree.attrs["scaleout_bytes_per_s"]))
    disaggregated = disaggregated_frontier(
        prefill, decode, osl, ftl_s, max_gpus=max_gpus, ratio=ratio
    )
    colocated = colocated_candidates(phases["colocated"], ttl)
    within = colocated.gpus <= (np.inf if max_gpus is None else max_gpus)
    best_colocated = colocated_frontier(colocated, ftl_s, within.astype(float))
    attrs = {**tree.attrs, "ftl_target_s": ftl_s, "ttl": ttl}
    sources = sources_in(tree.attrs)

    def dataset(ttl_s, y, ends, **columns) -> xr.Dataset:
        data: dict[str, Any] = {
            "output_tokens_per_s_per_gpu": (
                "ttl_s", y, attributes("output_tokens_per_s_per_gpu"),
            ),
            **{
                f"output_tokens_per_s_per_gpu_{end}": ("ttl_s", values, end_attributes(end))
                for end, values in ends.items()
            },
            **{name: ("ttl_s", values) for name, values in columns.items()},
        }  # fmt: skip
        return xr.Dataset(data, {"ttl_s": ("ttl_s", ttl_s, attributes("ttl_s"))}, attrs)

    def designs(phase: str, index: np.ndarray, prefix: str) -> dict[str, np.ndarray]:
        found = phases[phase]
        where = np.unravel_index(index, found.shape)
        return {
            prefix + name: np.asarray(values)[i]
            for (name, values), i in zip(found.axes.items(), where, strict=True)
        }

    index = colocated.index[best_colocated.candidate]
    modes = [MODES[mode] for mode in colocated.mode[best_colocated.candidate]]
    prompts, tokens = (
        prefill.index[disaggregated.prefill_index],
        decode.index[disaggregated.decode_index],
    )
    return xr.DataTree.from_dict(
        {
            "/": xr.Dataset(attrs=attrs),
            "disaggregated": dataset(
                disaggregated.ttl_s,
                disaggregated.output_tokens_per_s_per_gpu,
                disaggregated_ends(
                    (phases["prefill"], prompts),
                    (phases["decode"], tokens),
                    disaggregated.ctx_gen_ratio,
                    disaggregated.output_tokens_per_s_per_gpu,
                    sources,
                ),
                prefill_instances=disaggregated.prefill_instances,
                decode_instances=disaggregated.decode_instances,
                ctx_gen_ratio=disaggregated.ctx_gen_ratio,
                **designs("prefill", prompts, "prefill_"),
                **designs("decode", tokens, "decode_"),
            ),
            "colocated": dataset(
                best_colocated.ttl_s,
                best_colocated.output_tokens_per_s_per_gpu,
                colocated_ends(
                    phases["colocated"],
                    index,
                    modes,
                    best_colocated.output_tokens_per_s_per_gpu,
                    sources,
                ),
                piggybacked=colocated.mode[best_colocated.candidate] == 1,
                **designs("colocated", index, ""),
            ),
        }
    )


def plan(
    model: str | ModelCard,
    hardware: str | HardwareCard,
    workload: Workload | Sequence[Share] | PlanRequest,
    *,
    ftl_s: float | None = None,
    ttl_s: float | None = None,
    gpus: int | None = None,
    prefill_hardware: str | HardwareCard | None = None,
    space: Space | None = None,
    precision: str | Precision | None = None,
    engine: str | EngineCard | None = None,
    options: Options | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Plan:
    """What to deploy under the latency targets: pools, counts, against co-located, and why.

    `workload` is one workload, or shares of several that the same instances serve: every one of
    them then meets the targets, in seconds. At most `gpus` GPUs; None is no cap. A `PlanRequest` in
    place of a workload has every option, targets included: an exact number of GPUs, the
    objective, whole scale-up domains, shapes that an engine can express. `progress` is called with
    what is being done.

    Raises InputError for names, values or targets that make no sense, and where no design fits.
    """
    setup = setup_of(model, hardware, precision, engine, options)
    # Both pools run in the formats that are printed: those of the decode pool where none are given.
    own = setup.precision_name if precision is None else precision
    prefill_setup = (
        setup_of(setup.model, prefill_hardware, own, engine, options)
        if prefill_hardware is not None
        else None
    )
    request = plan_request(workload, ftl_s, ttl_s, gpus)
    for share in request.mix:
        check_context(setup.model, float(share.workload.isl), float(share.workload.osl))
    return plan_of(setup, request, space, prefill_setup, progress)
