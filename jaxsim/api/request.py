"""What does a call from Python request?  Records, and the keywords that make them.

Every verb takes its record in place of a workload, or a workload and the record's fields as
keywords: `jaxsim.estimate(model, hardware, workload, phase="decode", tp=8)` builds an
`EstimateRequest`. Values are checked where the record is made.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, TypeVar, cast

from jaxsim.catalog.bounds import WORKLOAD, check, whole
from jaxsim.catalog.errors import InputError, check_known
from jaxsim.catalog.workload import Share, Workload
from jaxsim.space.deploy.request import PlanRequest
from jaxsim.space.designs import PHASES

# Keywords of every verb that say on what a request is evaluated.
SETUP = ("precision", "engine", "options")


@dataclass(frozen=True)
class EstimateRequest:
    """One design: a phase (prefill, decode or colocated), its widths, batch and chunk.

    `chunk` is prompt tokens of a pass; None is the whole prompt. Raises InputError for a value that
    is not a whole number of at least 1.

    >>> jaxsim.EstimateRequest(jaxsim.Workload(1024, 128), phase="decode", tp=2, batch=16).pp
    1
    """

    workload: Workload
    phase: str
    tp: float
    ep: float = 1
    pp: float = 1
    batch: float = 1
    chunk: float | None = None

    def __post_init__(self):
        check_phase(self.phase)
        check({"isl": self.workload.isl}, WORKLOAD, "Workload: ")  # the chunk, where none is given
        for name, value in self.sizes.items():
            whole(name, value)

    @property
    def sizes(self) -> dict[str, float]:
        """The design's numbers by name."""
        chunk = float(self.workload.isl) if self.chunk is None else self.chunk
        return {
            "tp": self.tp, "ep": self.ep, "pp": self.pp, "batch": self.batch, "chunk": chunk,
        }  # fmt: skip


def check_phase(phase: str) -> None:
    """Refuse what is no phase."""
    if phase not in PHASES:
        raise InputError(f"phase {phase!r}: it is one of {', '.join(PHASES)}")


Kind = TypeVar("Kind")


def request_of(verb: str, kind: type[Kind], given: object, keywords: Mapping[str, object]) -> Kind:
    """The request that was given, or the one that a workload and keywords make.

    Keywords of `SETUP` are no part of it. Raises TypeError, as Python does, for an unknown or a
    missing keyword, and names the public function.
    """
    items = fields(cast(Any, kind))
    first, *names = (item.name for item in items)
    check_keywords(verb, keywords, names)
    own = {name: value for name, value in keywords.items() if name not in SETUP}
    if isinstance(given, kind):
        if own:
            raise InputError(
                f"{', '.join(own)}: the {kind.__name__} has its own; give them there alone"
            )
        return given
    needed = [one.name for one in items if one.default is one.default_factory is MISSING]
    if missing := [name for name in needed if name not in (first, *own)]:
        raise TypeError(
            f"jaxsim.{verb}() lacks {', '.join(missing)}: give keywords, or a {kind.__name__} in "
            f"place of the {first}"
        )
    return cast(Callable[..., Kind], kind)(given, **own)


def check_keywords(verb: str, keywords: Mapping[str, object], names: Sequence[str]) -> None:
    """Refuse a keyword that a verb does not have, as Python does, with the nearest that it has."""
    check_known(verb, keywords, (*names, *SETUP))


PLAN_KEYWORDS = (*(item.name for item in fields(PlanRequest) if item.name != "workload"), "gpus")


def plan_request(
    verb: str,
    workload: Workload | Sequence[Share] | PlanRequest,
    keywords: Mapping[str, object],
) -> PlanRequest:
    """The request that was given, or the one that workload and keywords make; `gpus` is a cap."""
    check_keywords(verb, keywords, PLAN_KEYWORDS)
    own = {
        name: value for name, value in keywords.items() if name not in SETUP and value is not None
    }
    if isinstance(workload, PlanRequest):
        if own:
            raise InputError(
                f"{', '.join(own)}: the PlanRequest has its own targets and limits; give them "
                "there alone"
            )
        return workload
    if missing := [name for name in ("ftl_s", "ttl_s") if name not in own]:
        raise InputError(
            f"{', '.join(missing)}: missing; give both latency targets in seconds, or a PlanRequest"
        )
    if "gpus" in own:
        own["max_gpus"] = own.pop("gpus")
    return cast(Callable[..., PlanRequest], PlanRequest)(workload, **own)
