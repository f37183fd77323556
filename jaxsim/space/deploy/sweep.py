"""What is evaluated for a request?  Every design of every phase, for every workload."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from jaxsim._progress import Counted, tell
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.scenario import Scenario
from jaxsim.catalog.setup import Setup
from jaxsim.catalog.shapes import model_why_not
from jaxsim.catalog.workload import Workload
from jaxsim.space.axes import Space, Values, complete, default_space, designs_in
from jaxsim.space.deploy.diagnose import nothing_valid
from jaxsim.space.deploy.expressible import expressible
from jaxsim.space.deploy.mixture import Phases, mixed_phases
from jaxsim.space.deploy.request import PlanRequest
from jaxsim.space.designs import Designs, evaluate_phase
from jaxsim.space.match.frontier import FrontierOptions

_CALLED = {"prefill": "prefill", "decode": "decode", "colocated": "co-located instances"}

# What evaluates a phase: `evaluate_phase`, or one that keeps what it gives (`HeldSweeps`).
Evaluate: TypeAlias = Callable[[str, Scenario, Space, Values, Values], Designs]


@dataclass(frozen=True)
class Swept:
    """The three phases over a space, and the set-ups they were evaluated with.

    `each` has the phases of every workload, over the same designs; `mean` those of the mix, which
    are those of the only workload where there is one.
    """

    setup: Setup
    prefill_setup: Setup
    request: PlanRequest
    each: tuple[Phases, ...]
    mean: Phases

    @property
    def prefill(self) -> Designs:
        return self.mean.prefill

    @property
    def decode(self) -> Designs:
        return self.mean.decode

    @property
    def colocated(self) -> Designs:
        return self.mean.colocated

    @property
    def setups(self) -> dict[str, Setup]:
        """The set-up of each phase."""
        return {"prefill": self.prefill_setup, "decode": self.setup, "colocated": self.setup}

    @property
    def points(self) -> int:
        """Designs × workloads that were evaluated."""
        return sum(one.points for one in self.each)


def sweep_phases(
    setup: Setup,
    request: PlanRequest,
    space: Space | None = None,
    prefill_setup: Setup | None = None,
    evaluate: Evaluate = evaluate_phase,
) -> Swept:
    """Every design of every phase, for each workload of the request.

    The grid is one for all workloads: chunks go up to the longest prompt, and a shorter prompt
    takes less. Raises InputError where no design of a phase obeys every rule.
    """
    prompts = prefill_setup or setup
    for own in (setup, prompts):
        if reason := model_why_not(request.deployable, own.model.is_moe, own.formats):
            raise InputError(f"{own.model.name} cannot be deployed: {reason}")
    mix = request.mix
    space = _for_all(setup, request, space)
    each = []
    for k, one in enumerate(mix):
        work = one.workload
        done = None if len(mix) == 1 else Counted("evaluating", k, len(mix), "workloads")
        try:
            each.append(_phases(evaluate, setup, prompts, work, space, done, request.deployable))
        except InputError as error:
            if len(mix) == 1:
                raise
            lengths = f"ISL {float(work.isl):,.0f}, OSL {float(work.osl):,.0f}"
            raise InputError(f"{lengths}: {error}") from None
    return Swept(setup, prompts, request, tuple(each), mixed_phases(each, request))


def _for_all(setup: Setup, request: PlanRequest, space: Space | None) -> Space | None:
    """The space with chunks up to the longest prompt of a mix, or prompts whole where they must."""
    mix = request.mix
    if request.whole_prompts:
        longest = max(float(one.workload.isl) for one in mix)
        space = replace(space or Space(), prefill_chunk=(longest,))
    if len(mix) == 1 or (space and space.chunk):
        return space
    longest = max(float(one.workload.isl) for one in mix)
    usual = default_space(setup.model.model, setup.hardware.hardware, longest)
    return replace(space or Space(), chunk=usual.chunk, prefill_chunk=usual.prefill_chunk)


def colocated_on_prefill(
    swept: Swept, space: Space | None, evaluate: Evaluate = evaluate_phase
) -> Swept | None:
    """The same with co-located instances on the prefill pool's hardware.

    None where that is the decode pool's, or where no co-located design there obeys every rule.
    """
    own, request = swept.prefill_setup, swept.request
    if own.hardware.name == swept.setup.hardware.name:
        return None
    space = _for_all(own, request, space)
    each = []
    for one, phases in zip(request.mix, swept.each, strict=True):
        work = one.workload
        scenario = own.scenario(work)
        filled = complete(space, scenario.model, scenario.hardware, float(work.isl))
        designs = evaluate("colocated", scenario, filled, (float(work.isl),), (float(work.osl),))
        if request.deployable:
            designs = expressible(designs, request.deployable, own)
        if not designs.full("valid").any():
            return None
        each.append(replace(phases, colocated=designs))
    return replace(swept, setup=own, each=tuple(each), mean=mixed_phases(each, request))


def allowed(designs: Designs, rules: str, setup: Setup) -> Designs:
    """The designs that the rules allow, all where there are none; an error if that leaves none."""
    if not rules:
        return designs
    left = expressible(designs, rules, setup)
    if not left.full("valid").any():
        raise InputError(
            f"{designs.phase}: no valid design of the space can be deployed with {rules}; leave "
            "out --deployable, or widen --tp, --ep and --pp."
        )
    return left


def _phases(
    evaluate: Evaluate,
    setup: Setup,
    prompts: Setup,
    workload: Workload,
    space: Space | None,
    done: Counted | None,
    rules: str = "",
) -> Phases:
    """Every design of every phase for one workload; it tells `done`, or else how many designs."""
    isl, osl = (float(workload.isl),), (float(workload.osl),)
    designs = {}
    for phase, own in (("prefill", prompts), ("decode", setup), ("colocated", setup)):
        scenario = own.scenario(workload)
        filled = complete(space, scenario.model, scenario.hardware, isl[0])
        tell(done or f"evaluating {designs_in(filled, phase):,} designs of {_CALLED[phase]}")
        evaluated = evaluate(phase, scenario, filled, isl, osl)
        if not evaluated.full("valid").any():
            widest = complete(None, scenario.model, scenario.hardware, isl[0])
            raise nothing_valid(
                evaluated,
                lambda: evaluate_phase(phase, scenario, widest, isl, osl),  # noqa: B023
            )
        designs[phase] = allowed(evaluated, rules, own)
    return Phases(**designs)


def match_limits(swept: Swept) -> FrontierOptions:
    """What limits a match: the cap, the ratio, the tolerance, and domains where they are packed."""
    request = swept.request
    sizes = [int(own.hardware.hardware.domain_gpus) for own in (swept.prefill_setup, swept.setup)]
    same = swept.prefill_setup.hardware.name == swept.setup.hardware.name
    domains = (sizes[1] if same else (sizes[0], sizes[1])) if request.pack else None
    return {
        "max_gpus": request.max_gpus,
        "exact_gpus": request.exact_gpus,
        "ratio": request.fixed_ratio,
        "paired": request.paired,
        "tolerance": request.tolerance,
        "domain_gpus": domains,
    }
