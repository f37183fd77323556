"""What can Python call?  estimate, evaluate, frontier and plan, on names or records."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Unpack

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from jaxsim._progress import heard_by
from jaxsim.api.dataset import attributes, designs_of, end_attributes, tree_of
from jaxsim.api.keywords import EstimateKeywords, PlanKeywords, SetupKeywords, setup_with
from jaxsim.api.request import EstimateRequest, check_keywords, plan_request, request_of
from jaxsim.api.spreads import colocated_ends, disaggregated_ends, inputs_of, sources_in
from jaxsim.catalog.cards import HardwareCard, ModelCard
from jaxsim.catalog.deployment import Deployment
from jaxsim.catalog.engine_limits import check_context, within_context
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.setup import Setup, setup_of
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
from jaxsim.space.deploy.request import TOLERANCE, PlanRequest
from jaxsim.space.deploy.result import Plan
from jaxsim.space.deploy.uncertainty import interval, spread_of
from jaxsim.space.designs import evaluate_on_device, evaluate_phase
from jaxsim.space.plan import plan as plan_of


def estimate(
    model: str | ModelCard,
    hardware: str | HardwareCard,
    workload: Workload | EstimateRequest,
    **keywords: Unpack[EstimateKeywords],
) -> Explanation:
    """One design, explained: the time of every kernel and message, memory, rules, outputs.

    Keywords are the fields of `EstimateRequest` (`phase`, `tp`, `ep`, `pp`, `batch`, `chunk`), and
    `precision`, `engine`, `options`; or give an `EstimateRequest` in place of the workload. Times
    are in seconds, sizes in bytes. `interval_s` is the 80 % interval of `total_s`, from what the
    fits left unexplained.

    Raises InputError for a value that cannot be, TypeError for an unknown keyword.

    >>> work = jaxsim.Workload(isl=1024, osl=128)
    >>> found = jaxsim.estimate("llama-3.1-8b", "h100", work, phase="decode", tp=1, batch=16)
    >>> found.feasible, 0.001 < found.total_s < 0.1
    (True, True)
    """
    request = request_of("estimate", EstimateRequest, workload, keywords)
    phase, workload = request.phase, request.workload
    setup = setup_with(model, hardware, keywords)
    if request.ep > 1 and not setup.model.is_moe:
        raise InputError(
            f"ep = {request.ep}: {setup.model.name} is dense, without experts; leave ep at 1"
        )
    design = Deployment(**{name: float(value) for name, value in request.sizes.items()})
    explanation = explain(setup.scenario(workload, design), phase)
    fits = within_context(setup.model, float(workload.isl), float(workload.osl))
    explanation = replace(explanation, rules={**explanation.rules, "within_context": fits})
    parts: dict[str, float] = {}
    for part in explanation.parts:
        parts[part.part] = parts.get(part.part, 0.0) + part.seconds
    ends = interval(explanation.total_s, spread_of(parts, phase, setup))
    return replace(explanation, interval_s=ends, formats=setup.formats, notes=setup.notes)


def prefill_setup_of(
    setup: Setup, hardware: str | HardwareCard | None, keywords: SetupKeywords
) -> Setup | None:
    """The set-up of a prefill pool on hardware of its own; None where it has none.

    It runs in the formats of the decode pool where none are given, as both are printed.
    """
    if hardware is None:
        return None
    precision = keywords.get("precision")
    return setup_of(
        setup.model,
        hardware,
        setup.precision_name if precision is None else precision,
        keywords.get("engine"),
        keywords.get("options"),
    )


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
    phases: tuple[str, ...] = ("prefill", "decode", "colocated"),
    device: bool = False,
    **keywords: Unpack[SetupKeywords],
) -> xr.DataTree:
    """Every design of a space, in every phase: a DataTree with /prefill, /decode and /colocated.

    Dimensions are the axes (isl, osl, tp, ep, pp, chunk, batch); a variable has those it depends
    on, and broadcasts when combined. `workload.isl` and `workload.osl` may be sequences. Designs
    that break a rule keep their numbers and have `valid` false. SI units, in each variable's
    attributes. With `device` the variables hold JAX arrays where JAX evaluated them, on a GPU if
    there is one: nothing is copied to the host until `.values` is read. Keywords also are
    `precision`, `engine` and `options`. Raises InputError for lengths beyond the model's context.

    >>> space = jaxsim.Space(tp=(1,), pp=(1,), batch=(1, 16, 64), chunk=(1024,))
    >>> work = jaxsim.Workload(isl=1024, osl=128)
    >>> tree = jaxsim.evaluate("llama-3.1-8b", "h100", work, space)
    >>> decode = tree["decode"].sel(isl=1024, osl=128)
    >>> decode.ttl_s.units, bool(decode.valid.all())
    ('s', True)
    """
    check_keywords("evaluate", keywords, ("phases", "device"))
    setup = setup_with(model, hardware, keywords)
    one, isl, osl = lengths_in(workload)
    check_context(setup.model, max(isl), max(osl))
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
    ttl_metric: str = "mean",
    max_gpus: int | None = None,
    ratio: float | None = None,
) -> xr.DataTree:
    """The disaggregated and co-located frontiers of evaluated phases, rate-matched.

    A DataTree with /disaggregated and /colocated; in each, `output_tokens_per_s_per_gpu` with both
    ends of its 80 % interval (`…_low`, `…_high`) and the design behind it, on the dimension
    `ttl_s`: the least token latency that gives so much. Only designs under `ftl_s` count. Needs
    one workload: select `isl` and `osl` first.

    >>> space = jaxsim.Space(tp=(1,), pp=(1,), batch=(1, 16, 64), chunk=(1024,))
    >>> work = jaxsim.Workload(isl=1024, osl=128)
    >>> tree = jaxsim.evaluate("llama-3.1-8b", "h100", work, space)
    >>> front = jaxsim.frontier(tree.sel(isl=1024, osl=128), ftl_s=1.0)
    >>> bool((front["colocated"].ttl_s.diff("ttl_s") > 0).all())
    True
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
        prefill, decode, osl, ftl_s, max_gpus=max_gpus, ratio=ratio, tolerance=TOLERANCE
    )
    colocated = colocated_candidates(phases["colocated"], ttl_metric)
    within = colocated.gpus <= (np.inf if max_gpus is None else max_gpus)
    best_colocated = colocated_frontier(colocated, ftl_s, within.astype(float))
    attrs = {**tree.attrs, "ftl_target_s": ftl_s, "ttl_metric": ttl_metric}
    sources = sources_in({str(key): value for key, value in tree.attrs.items()})

    def dataset(
        ttl_s: np.ndarray, y: np.ndarray, ends: Mapping[str, np.ndarray], **columns: ArrayLike
    ) -> xr.Dataset:
        data: dict[str, tuple[str, ArrayLike] | tuple[str, ArrayLike, dict[str, str]]] = {
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
        evaluated = phases[phase]
        where = np.unravel_index(index, evaluated.shape)
        return {
            prefix + name: np.asarray(values)[i]
            for (name, values), i in zip(evaluated.axes.items(), where, strict=True)
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
    prefill_hardware: str | HardwareCard | None = None,
    space: Space | None = None,
    choices: bool = False,
    **keywords: Unpack[PlanKeywords],
) -> Plan:
    """What to deploy under the latency targets: pools, counts, against co-located, and why.

    `workload` is one workload, or shares of several that the same instances serve: every one of
    them then meets the targets. Keywords are `ftl_s` and `ttl_s`, the targets in seconds, `gpus`,
    a cap on GPUs, the other fields of `PlanRequest`, and `precision`, `engine`, `options`; or give
    a `PlanRequest` in place of the workload. With
    `choices`, the plan also has the best deployments under other targets (`Choices`).

    Raises InputError for names, values or targets that make no sense, and where no design fits;
    TypeError for an unknown keyword.

    >>> space = jaxsim.Space(tp=(1,), pp=(1,), batch=(1, 16, 64), chunk=(1024,))
    >>> work = jaxsim.Workload(isl=1024, osl=128)
    >>> plan = jaxsim.plan("llama-3.1-8b", "h100", work, ftl_s=1, ttl_s=0.02, space=space)
    >>> plan.recommended, [pool.phase for pool in plan.disaggregated.instances]
    ('disaggregated', ['prefill', 'decode'])
    """
    request = plan_request("plan", workload, keywords)
    setup = setup_with(model, hardware, keywords)
    prefill_setup = prefill_setup_of(setup, prefill_hardware, keywords)
    for share in request.mix:
        check_context(setup.model, float(share.workload.isl), float(share.workload.osl))
    result = plan_of(setup, request, space, prefill_setup, choices=choices)
    if request.requests_per_s is None or result.recommended is None:
        return result
    # Only here: the simulator is not loaded by a plan that does not need it.
    from jaxsim.traffic.size.search import under_rate

    steady = replace(request, requests_per_s=None, percentile=None)

    def plan_at(ftl: float, ttl: float) -> Plan:
        with heard_by(None):  # the sizing tells how far it is
            return plan_of(setup, replace(steady, ftl_s=ftl, ttl_s=ttl), space, prefill_setup)

    setups = (prefill_setup or setup, setup)
    return replace(result, under_rate=under_rate(result, request, setups, plan_at))
