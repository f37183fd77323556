"""Which claims are checked, and how does one hold over all readings of the study?"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from jaxsim._progress import Counted, tell
from jaxsim.catalog.errors import InputError, unknown_name
from jaxsim.catalog.silicon_limit import LIMIT
from jaxsim.view.study import claims_gain, claims_network, claims_pipeline, claims_pools
from jaxsim.view.study.claim import NOT, PARTLY, REPRODUCED, Claim, Finding, criterion
from jaxsim.view.study.needs import NEEDS
from jaxsim.view.study.settings import SELECTED, SWEPT, ClaimText, Level, Setting, settings
from jaxsim.view.study.source import Study

CLAIMS: dict[str, Claim] = {
    claim.id: claim
    for module in (claims_gain, claims_pipeline, claims_pools, claims_network)
    for claim in module.CLAIMS
}

Tried = list[tuple[Setting, Finding | None]]


@dataclass(frozen=True)
class Robustness:
    """How often a claim holds over the readings of the study.

    `holds` and `partly` are fractions of the `readings` in which it can be judged at all;
    `not_applicable` counts the others, in which no design meets the FTL cutoff. `by_unknown` gives
    the fraction that holds at each level of each unknown.
    """

    holds: float
    partly: float
    readings: int
    not_applicable: int
    by_unknown: Mapping[str, Mapping[str, float]]

    @property
    def label(self) -> str:
        """`robust`, `depends` or `finding`."""
        if self.holds >= criterion("robust_frac"):
            return "robust"
        return "finding" if self.holds <= criterion("finding_frac") else "depends"

    @property
    def decisive(self) -> tuple[str, float] | None:
        """The unknown whose levels differ most, and by how much of the readings."""
        spreads = {
            name: max(levels.values()) - min(levels.values())
            for name, levels in self.by_unknown.items()
            if len(levels) > 1
        }
        name = max(spreads, key=lambda n: spreads[n], default=None)
        return None if name is None else (name, spreads[name])


@dataclass(frozen=True)
class Result:
    """A claim with what was found, with today's kernels and at the limit of the chip.

    `at_limit` is the base reading with kernels and messages at the limit of the silicon; None where
    no design of it meets the FTL cutoff.
    """

    text: ClaimText
    finding: Finding
    robustness: Robustness
    figure: str
    at_limit: Finding | None = None

    @property
    def id(self) -> str:
        return self.text.id


def chosen(names: Iterable[str]) -> list[Claim]:
    """The claims of the given names, all if none is given; an error for a name not known."""
    wanted = [name.upper() for name in names]
    for name in wanted:
        if name not in CLAIMS:
            raise unknown_name("claim", name, list(CLAIMS), f"Known: {', '.join(CLAIMS)}.")
    return [claim for name, claim in CLAIMS.items() if not wanted or name in wanted]


def readings_for(claim: Claim, readings: Sequence[Setting]) -> list[Setting]:
    """The readings that differ in what the claim depends on."""
    base = settings().base
    fixed = {name: getattr(base, name) for name in SELECTED if name not in claim.varies}
    return list(dict.fromkeys(replace(reading, **fixed) for reading in readings))


def try_readings(
    study: Study,
    claims: Sequence[Claim],
    readings: Sequence[Setting],
) -> dict[str, Tried]:
    """Every claim in every reading, mixture by mixture, so that sweeps are shared."""
    tried: dict[str, Tried] = {claim.id: [] for claim in claims}
    mixtures = list(dict.fromkeys(reading.mixture for reading in readings))
    for k, mixture in enumerate(mixtures):
        tell(Counted("readings of the study", k, len(mixtures), "mixtures"))
        own = [reading for reading in readings if reading.mixture == mixture]
        for claim in claims:
            findings = tried[claim.id]
            findings += [(s, claim.check(study, s)) for s in readings_for(claim, own)]
        study.forget()
    return tried


def robustness_of(claim: Claim, tried: Tried) -> Robustness:
    """How often the claim held."""
    judged = [(setting, finding.verdict) for setting, finding in tried if finding is not None]
    count = max(len(judged), 1)

    def share(verdicts: Sequence[str], verdict: str) -> float:
        return sum(v == verdict for v in verdicts) / max(len(verdicts), 1)

    by_unknown: dict[str, dict[str, float]] = {}
    for name in (*SWEPT, *claim.varies):
        levels: dict[str, list[str]] = {}
        for setting, verdict in judged:
            levels.setdefault(_level(setting.level(name)), []).append(verdict)
        by_unknown[name] = {level: share(v, REPRODUCED) for level, v in levels.items()}
    verdicts = [verdict for _, verdict in judged]
    return Robustness(
        holds=sum(v == REPRODUCED for v in verdicts) / count,
        partly=sum(v == PARTLY for v in verdicts) / count,
        readings=len(judged),
        not_applicable=len(tried) - len(judged),
        by_unknown=by_unknown,
    )


def _level(value: Level) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def base_finding(study: Study, claim: Claim) -> Finding:
    """What the base reading gives."""
    finding = claim.check(study, settings().base)
    if finding is None:
        raise InputError(
            f"{claim.id}: no design of the base reading meets its FTL cutoff; loosen ftl_s in "
            "study.toml"
        )
    needs = NEEDS.get(claim.id)
    if needs is None or finding.verdict == REPRODUCED:
        return finding
    return replace(finding, needed=needs(study, settings().base))


def limit_finding(study: Study, claim: Claim) -> Finding | None:
    """What the base reading gives with kernels at the limit of the chip."""
    return claim.check(study, settings().base.mixed(engine=LIMIT))


__all__ = [
    "CLAIMS",
    "NOT",
    "Result",
    "Robustness",
    "base_finding",
    "chosen",
    "limit_finding",
    "try_readings",
]
