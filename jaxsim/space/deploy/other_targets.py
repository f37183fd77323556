"""Which designs are best under other targets than a plan's own, or with other widths?

A report shows them without evaluating anything: some hundred deployments, each the best for some
targets or some width, out of all that were evaluated.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from jaxsim._progress import Counted, tell
from jaxsim.quantities import MODES
from jaxsim.space.axes import Space
from jaxsim.space.deploy.candidates import (
    AllCandidates,
    Candidates,
    ColocatedCandidates,
    colocated_frontier,
    gather,
)
from jaxsim.space.deploy.choice_tables import add_intervals, numbered
from jaxsim.space.deploy.choices import Choices
from jaxsim.space.deploy.integers import with_integers
from jaxsim.space.deploy.mixture import Phases
from jaxsim.space.deploy.request import gpu_weight
from jaxsim.space.deploy.select import instances_within
from jaxsim.space.deploy.sweep import Swept, match_limits
from jaxsim.space.designs import Designs
from jaxsim.space.match.fewest import TIE
from jaxsim.space.match.frontier import match_frontier, records
from jaxsim.space.match.records import NoMatch, Pool
from jaxsim.space.match.solve import match

FTL_FACTORS = (0.5, 1.0, 2.0)  # the FTL targets that are tried, over the plan's own
TTL_TARGETS = 24  # for each of them, so many TTL targets
WIDTHS = ("tp", "ep", "pp")
PHASES = ("prefill", "decode", "colocated")


def ttl_targets(ttl_s: np.ndarray, own_s: float, count: int = TTL_TARGETS) -> list[float]:
    """TTL targets that are tried: some of a frontier's, evenly spread, and the plan's own."""
    kept = np.unique(np.linspace(0, len(ttl_s) - 1, count).round().astype(int))
    return sorted({own_s, *(float(x) for x in ttl_s[kept])})


class _Rows:
    """Rows gathered one block after another, and the designs that they name."""

    def __init__(self):
        self.blocks: list[dict[str, np.ndarray]] = []

    def add(self, kind: int, **columns: np.ndarray | float):
        size = len(np.asarray(columns["ttl_s"]))
        block = {
            name: np.broadcast_to(np.asarray(value, float), (size,))
            for name, value in columns.items()
        }
        self.blocks.append({"kind": np.full(size, float(kind)), **block})

    def joined(self) -> dict[str, np.ndarray]:
        """All rows, each once."""
        names = list(self.blocks[0])
        table = np.concatenate([np.stack([b[n] for n in names], axis=1) for b in self.blocks])
        table = np.unique(table, axis=0)
        return {name: table[:, k] for k, name in enumerate(names)}


def choices_of(
    swept: Swept, space: Space | None, on_prefill: Swept | None = None, *, few: bool = False
) -> Choices:
    """The best deployments for FTL targets around the plan's own and every TTL, and by width.

    `swept` are the designs of the plan, `on_prefill` those of co-location where it runs on the
    prefill pool's hardware. For one workload, whole batches and chunks are refined for each of the
    FTL targets. Where domains are paid whole (`pack`), and where but a `few` are asked for, only
    the plan's own FTL target is tried, with the latter no width.
    """
    request = swept.request
    factors = (1.0,) if request.pack or few else FTL_FACTORS
    targets = tuple(factor * request.ftl_s for factor in factors)
    if not few:
        tell("trying other targets")
    swept = _refined(swept, space, targets, ("prefill", "colocated"))
    alone = swept if on_prefill is None else _refined(on_prefill, space, targets, ("colocated",))
    candidates = gather(swept)
    small = replace(
        candidates, prefill=_small(candidates.prefill), decode=_small(candidates.decode)
    )
    own = candidates if on_prefill is None else gather(alone)
    rows = _Rows()
    alike = request.pack or few
    widths = [] if alike else list(_by_width(swept, candidates))
    for k, ftl_s in enumerate(targets):
        if not few:
            tell(Counted("trying other targets", k, len(targets) + len(widths), "frontiers"))
        _add_disaggregated(rows, swept, small, ftl_s, targets=1 if few else TTL_TARGETS)
        _add_colocated(rows, alone, own.colocated, ftl_s)
    for k, part in enumerate(widths, len(targets)):
        tell(Counted("trying other targets", k, len(targets) + len(widths), "frontiers"))
        _add_disaggregated(rows, swept, part, request.ftl_s, targets=0)
    for held in [] if alike else _colocated_by_width(alone, own.colocated):
        _add_colocated(rows, alone, held, request.ftl_s)
    chosen = rows.joined() if rows.blocks else {"ttl_s": np.zeros(0)}
    designs = numbered(chosen, swept, alone)
    add_intervals(chosen, designs, swept, alone)
    exact = request.cap is not None or request.pack
    return Choices(designs, chosen, targets, 0.0 if exact else request.tolerance, TIE)


def _refined(
    swept: Swept, space: Space | None, targets: Iterable[float], phases: tuple[str, ...]
) -> Swept:
    """With whole batches and chunks for every FTL target listed after those of the plan's own."""
    if len(swept.each) > 1:
        return swept
    refined, grid = swept, _unlisted(swept)
    for ftl_s in targets:
        if ftl_s != swept.request.ftl_s:
            request = replace(swept.request, ftl_s=ftl_s)
            other = with_integers(replace(grid, request=request), space, phases, best=False)
            refined = _with_listed_of(refined, other, phases)
    return refined


def _unlisted(swept: Swept) -> Swept:
    phases = Phases(*(replace(getattr(swept, name), listed=None) for name in PHASES))
    return replace(swept, each=(phases,), mean=phases)


def _with_listed_of(swept: Swept, other: Swept, phases: tuple[str, ...]) -> Swept:
    def both(name: str) -> Designs:
        ours: Designs = getattr(swept, name)
        more = getattr(other, name).listed if name in phases else None
        if more is None or ours.listed is None:
            return ours if more is None else replace(ours, listed=more)
        own = ours.listed
        joined = replace(
            own,
            columns={n: np.append(own.columns[n], more.columns[n]) for n in own.columns},
            outputs={n: np.append(own.outputs[n], more.outputs[n]) for n in own.outputs},
        )
        return replace(ours, listed=joined)

    found = Phases(*(both(name) for name in PHASES))
    return replace(swept, each=(found,), mean=found)


def _small(candidates: Candidates, key: np.ndarray | None = None) -> Candidates:
    """Candidates that serve more than every other one of their size and at most their latency.

    No other candidate can be part of an optimum. With `key`, a number for each candidate, only
    candidates of one number are compared.
    """
    pool = candidates.pool
    keyed = pool if key is None else replace(pool, weight=1.0 + key, confined_gpus=None)
    return _of(candidates, records(keyed, np.arange(len(candidates.index))))


def _of(candidates: Candidates, kept: np.ndarray) -> Candidates:
    pool = candidates.pool
    small = Pool(
        pool.requests_per_s[kept], pool.gpus[kept], pool.latency_s[kept], pool.weight,
        pool.confined_of(kept),
    )  # fmt: skip
    return Candidates(small, candidates.index[kept])


def _mappings(columns: dict[str, np.ndarray]) -> np.ndarray:
    """A number for each design, equal where all widths are."""
    number = np.zeros(len(columns["tp"]))
    for name in WIDTHS:
        values, back = np.unique(columns[name], return_inverse=True)
        number = number * len(values) + back
    return number


def _by_width(swept: Swept, candidates: AllCandidates) -> Iterator[AllCandidates]:
    """Candidates with one width of one pool held, for every value it has."""
    whole = {"prefill": _small(candidates.prefill), "decode": _small(candidates.decode)}
    for phase in whole:
        every: Candidates = getattr(candidates, phase)
        designs: Designs = getattr(swept, phase)
        every = _small(every, _mappings(designs.columns(every.index)))
        columns = designs.columns(every.index)
        for name in WIDTHS:
            for value in np.unique(columns[name]):
                held = _small(_of(every, np.flatnonzero(columns[name] == value)))
                yield AllCandidates(**{**whole, phase: held}, colocated=candidates.colocated)


def _colocated_by_width(swept: Swept, own: ColocatedCandidates) -> Iterator[ColocatedCandidates]:
    """Co-located candidates with one width or the mode held, for every value it has."""
    own = _taken(own, np.flatnonzero(own.ftl_s <= swept.request.ftl_s))
    key = _mappings(swept.colocated.columns(own.index)) * len(MODES) + own.mode
    pool = Pool(own.output_tokens_per_s_per_gpu, np.ones(len(key)), own.ttl_s, 1.0 + key)
    own = _taken(own, records(pool, np.arange(len(key))))
    columns = {**swept.colocated.columns(own.index), "mode": own.mode}
    for name in (*WIDTHS, "mode"):
        for value in np.unique(columns[name]):
            yield _taken(own, np.flatnonzero(columns[name] == value))


def _taken(own: ColocatedCandidates, kept: np.ndarray) -> ColocatedCandidates:
    return ColocatedCandidates(**{name: column[kept] for name, column in vars(own).items()})


def _add_disaggregated(
    rows: _Rows, swept: Swept, candidates: AllCandidates, ftl_s: float, *, targets: int
):
    """The frontier under an FTL target, and what a plan takes at `targets` of its TTL.

    A plan's choice differs from the point of the frontier where others come within its tolerance
    with fewer GPUs.
    """
    prefill, decode = candidates.prefill, candidates.decode
    request, limits = swept.request, match_limits(swept)
    front = match_frontier(prefill.pool, decode.pool, request.mean_osl, ftl_s=ftl_s, **limits)
    if not len(front.ttl_s):
        return
    pairs = [
        (i, j, n, m, bound, whole)
        for i, j, n, m, bound, whole in zip(
            front.prefill_index, front.decode_index, front.prefill_instances,
            front.decode_instances, front.output_tokens_per_s_per_gpu,
            front.rounded_output_tokens_per_s_per_gpu, strict=True,
        )
    ]  # fmt: skip
    if targets and request.cap is None and not request.pack:
        for ttl_s in ttl_targets(front.ttl_s, request.ttl_s, targets):
            best = match(
                prefill.pool, decode.pool, request.mean_osl, ftl_s=ftl_s, ttl_s=float(ttl_s),
                quickest=True, **limits,
            )  # fmt: skip
            if isinstance(best, NoMatch):
                continue
            bound = best.certificate.upper_bound if request.held else best.relaxed_value
            pairs.append((
                best.prefill_index, best.decode_index, best.prefill_instances,
                best.decode_instances, bound, best.value,
            ))  # fmt: skip
    i, j, n, m, bound, whole = (np.array(column) for column in zip(*pairs, strict=True))
    i, j = i.astype(int), j.astype(int)
    gpus_p, gpus_d = n * prefill.pool.gpus[i], m * decode.pool.gpus[j]
    weights = [gpu_weight(own, request.objective) for own in (swept.prefill_setup, swept.setup)]
    # `bound` is of real-valued counts, whose shares of the GPUs are those of equal rates.
    p, d = (
        pool.gpus[k] / pool.requests_per_s[k] for pool, k in ((prefill.pool, i), (decode.pool, j))
    )
    if request.cap is None and not request.held:
        weight = (p * weights[0] + d * weights[1]) / (p + d)
    else:
        weight = (gpus_p * weights[0] + gpus_d * weights[1]) / (gpus_p + gpus_d)
    rows.add(
        0,
        mode=np.full(len(i), -1.0), design=prefill.index[i], other=decode.index[j],
        first_count=n, second_count=m, gpus=gpus_p + gpus_d, ftl_s=prefill.pool.latency_s[i],
        ttl_s=decode.pool.latency_s[j], y=bound * weight, worth=whole, bound=bound,
    )  # fmt: skip


def _add_colocated(rows: _Rows, swept: Swept, own: ColocatedCandidates, ftl_s: float):
    count, paid = instances_within(own, swept)
    running = count * own.gpus / paid
    front = colocated_frontier(own, ftl_s, running)
    k = front.candidate
    if not len(k):
        return
    y = front.output_tokens_per_s_per_gpu
    worth = y / gpu_weight(swept.setup, swept.request.objective)
    rows.add(
        1,
        mode=own.mode[k], design=own.index[k], other=np.full(len(k), -1.0),
        first_count=np.maximum(count[k], 1.0), second_count=0.0,
        gpus=np.maximum(count[k], 1.0) * own.gpus[k], ftl_s=own.ftl_s[k], ttl_s=own.ttl_s[k],
        y=y, worth=worth, bound=worth,
    )  # fmt: skip
