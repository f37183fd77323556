"""How many prefill instances of which shape feed how many decode instances of which shape?

The optimum over all pairs of designs and all integer counts, with a proof. Each pool collapses to
the fastest designs of every shape (exact: see `prune.collapse`); pairs are solved in the order of
their relaxed bounds until no bound left is above the best *other* pair found, so both the optimum
and the runner-up are proved.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from jaxsim.point.balance import STUDY_TOLERANCE
from jaxsim.space.match import stability
from jaxsim.space.match.budget import (
    Flat,
    Packed,
    Terms,
    approach,
    budget_of,
    check_numbers,
    terms_of,
)
from jaxsim.space.match.exact import ROUNDING, upper_bound
from jaxsim.space.match.fewest import fewest, near_range, quickest_equal
from jaxsim.space.match.nearest import nothing, quickest
from jaxsim.space.match.prune import Pairs, collapse, usable
from jaxsim.space.match.records import Certificate, Match, NoMatch, Option, Pool
from jaxsim.space.match.stability import Shares

NEAR_FRAC = 0.01  # the certificate says how far rates may move before another plan wins by this

_FIRST, _NEXT = 16, 256  # pairs solved together: at first, and after that


def match(
    prefill: Pool,
    decode: Pool,
    osl: float,
    *,
    ftl_s: float = np.inf,
    ttl_s: float = np.inf,
    max_gpus: float | None = None,
    exact_gpus: float | None = None,
    max_cost: float | None = None,
    exact_cost: float | None = None,
    ratio: float | None = None,
    ratio_tolerance: float = STUDY_TOLERANCE,
    prefill_instances: tuple[int, int | None] = (1, None),
    decode_instances: tuple[int, int | None] = (1, None),
    paired: bool = False,
    domain_gpus: int | tuple[int, int] | None = None,
    tolerance: float = STUDY_TOLERANCE,
    quickest: bool = False,
) -> Match | NoMatch:
    """The plan of most output tokens/s per GPU × weight under both targets, with its certificate.

    With a cap (`max_gpus`, or `max_cost` on GPUs × weight) only what runs is paid; with
    `exact_gpus` or `exact_cost` all of it is paid and what is left over idles (GPUs of two prices
    idle at the lower one). Without either, integers only approach the optimum of real counts: of
    all plans within `tolerance` of it, that of the fewest GPUs is returned, then of the most
    throughput, then of the lowest latency, and the gap says what it loses. `ratio` fixes
    prefill GPUs / decode GPUs within `ratio_tolerance` (0: exactly); with `paired` there are as
    many prefill instances as decode instances. With `domain_gpus`, confined
    parts of instances do not straddle domains, and domains are paid whole; both pools may use one
    domain unless each has its own size: (prefill, decode). `quickest` takes, of designs of one size
    that serve as much in the match, those of the least latency (not where domains are packed).

    Where nothing meets the targets, the nearest that can be met.
    """
    caps = {"max_gpus": max_gpus, "exact_gpus": exact_gpus}
    caps |= {"max_cost": max_cost, "exact_cost": exact_cost}
    check_numbers(osl, tolerance)
    terms = terms_of(
        prefill, decode, caps, ratio, ratio_tolerance, prefill_instances, decode_instances, paired
    )
    budget = budget_of(prefill, decode, terms, domain_gpus)
    problem = _Problem(prefill, decode, osl - 1, budget, terms, tolerance, quickest)
    return problem.solve(ftl_s, ttl_s)


@dataclass(frozen=True)
class _Solved:
    """Pairs with their best counts and values; which is best, and which the runner-up."""

    pairs: Pairs
    n: np.ndarray
    m: np.ndarray
    value: np.ndarray
    best: int
    runner: int | None


@dataclass(frozen=True)
class _Problem:
    """One matching problem."""

    prefill: Pool
    decode: Pool
    tokens: float
    budget: Flat | Packed
    terms: Terms
    tolerance: float
    quickest: bool

    def solve(self, ftl_s: float, ttl_s: float) -> Match | NoMatch:
        """The best match, or why there is none."""
        i, j = usable(self.prefill, ftl_s), usable(self.decode, ttl_s)
        considered = len(i) * len(j)
        (i, first_p), (j, first_d) = collapse(self.prefill, i), collapse(self.decode, j)
        pairs = self.budget.pairs(i, j)
        if not len(pairs):
            return self.nothing(ftl_s, ttl_s)
        bound = self.budget.bound(pairs)
        if not self.terms.capped and isinstance(self.budget, Flat):
            return self.rounded(pairs, bound, considered, (ftl_s, ttl_s))
        budget, supremum = self.budget, None
        if not self.terms.capped:
            assert isinstance(budget, Packed)
            supremum = float(bound.max())
            budget = approach(budget, pairs.take(int(bound.argmax())), supremum, self.tolerance)
        solved, count = self.search(budget, pairs, bound)
        if solved is None:
            return self.nothing(ftl_s, ttl_s)
        fastest = budget.pairs(i[first_p], j[first_d])
        solved = self.quick(solved, (ftl_s, ttl_s))
        pair = solved.pairs.take(solved.best)
        n, m = solved.n[solved.best], solved.m[solved.best]
        cost = budget.bill(pair, n, m).cost
        ours = float(n * pair.r / cost), float(m * pair.s / cost)
        shares = [ours, (ours[0] * (1.0 + NEAR_FRAC), ours[1] * (1.0 + NEAR_FRAC))]
        rivals = budget.rivals(fastest, shares)
        ranges = [stability.rate_ranges(*pair) for pair in zip(shares, rivals, strict=True)]
        counted = (considered, count)
        if supremum is None:
            return self.matched(budget, solved, None, ranges, counted, "exact", NEAR_FRAC)
        # Larger deployments are no rivals of this one within its cap: the bound of all is.
        near = NEAR_FRAC + max(float(self.flat_bound(fastest).max()) / min(ours), 1.0) - 1.0
        low, high = near_range(fastest, ours, near)
        inverse = (0.0 if high == np.inf else 1.0 / high, 1.0 / low if low > 0 else np.inf)
        ranges = [((low, high), inverse)] * 2
        return self.matched(budget, solved, supremum, ranges, counted, "rounded, packed", near)

    def flat_bound(self, pairs: Pairs) -> np.ndarray:
        """What no plan of a pair is worth more than, wherever its instances lie."""
        return upper_bound(pairs, self.terms.limits)

    def search(
        self, budget: Flat | Packed, pairs: Pairs, bound: np.ndarray
    ) -> tuple[_Solved | None, int]:
        """Branch and bound over pairs; how many were solved."""
        order = np.argsort(-bound, kind="stable")
        n, m, value = (np.zeros(len(pairs)) for _ in range(3))
        first, following = (_FIRST, _NEXT) if isinstance(budget, Flat) else (2, 1)
        solved, threshold = 0, 0.0
        while solved < len(order) and bound[order[solved]] >= threshold * (1 - ROUNDING):
            block = order[solved : solved + (following if solved else first)]
            n[block], m[block], value[block] = budget.counts(pairs.take(block))
            solved += len(block)
            if solved > 1:
                threshold = np.partition(value[order[:solved]], -2)[-2]
        meet = np.sort(order[:solved][value[order[:solved]] > 0])
        if not meet.size:
            return None, solved
        ranked = self.ranked(pairs.take(meet), n[meet], m[meet], value[meet])
        return _Solved(pairs, n, m, value, int(meet[ranked[0]]), _second(meet[ranked])), solved

    def rounded(self, pairs: Pairs, bound: np.ndarray, considered: int, latest: Shares) -> Match:
        """No cap: the fewest GPUs that come within the tolerance of real counts."""
        supremum = float(bound.max())
        latency = self.prefill.latency_s[pairs.i], self.decode.latency_s[pairs.j]
        least = supremum * (1.0 - self.tolerance)
        best, count_p, count_d = fewest(pairs, self.terms.limits, least, latency)
        others = np.where(np.arange(len(pairs)) == best, -np.inf, bound)
        runner = int(np.argmax(others)) if len(pairs) > 1 else None
        ones = np.ones(len(pairs))
        n, m = ones * count_p, ones * count_d
        solved = self.quick(_Solved(pairs, n, m, bound, best, runner), latest)
        pair = solved.pairs.take(best)
        cost = count_p * pair.a + count_d * pair.b
        ours = float(count_p * pair.r / cost), float(count_d * pair.s / cost)
        near = NEAR_FRAC + supremum / min(ours) - 1.0
        low, high = near_range(pairs, ours, near)
        inverse = (0.0 if high == np.inf else 1.0 / high, 1.0 / low if low > 0 else np.inf)
        ranges = [((low, high), inverse)] * 2
        counted = (considered, len(pairs))
        return self.matched(self.budget, solved, supremum, ranges, counted, "rounded", near)

    def quick(self, solved: "_Solved", latest: Shares) -> "_Solved":
        """The same with designs that serve as much in less time, where the request wants these."""
        if not self.quickest or isinstance(self.budget, Packed):
            return solved
        k, pairs = solved.best, solved.pairs
        n, m = solved.n[k], solved.m[k]
        served = min(n * pairs.r[k], m * pairs.s[k])
        i = quickest_equal(self.prefill, latest[0], int(pairs.i[k]), served / n)
        j = quickest_equal(self.decode, latest[1], int(pairs.j[k]), served / m)
        if (i, j) == (int(pairs.i[k]), int(pairs.j[k])):
            return solved
        columns = {name: getattr(pairs, name).copy() for name in ("i", "j", "r", "s")}
        columns["i"][k], columns["j"][k] = i, j
        columns["r"][k] = self.prefill.requests_per_s[i]
        columns["s"][k] = self.decode.requests_per_s[j]
        return replace(solved, pairs=replace(pairs, **columns))

    def ranked(self, pairs: Pairs, n: np.ndarray, m: np.ndarray, value: np.ndarray) -> np.ndarray:
        """Best two pairs first: by value; among equals fewest GPUs, then latency, then order."""
        left, ranked = np.arange(len(pairs)), []
        while left.size and len(ranked) < 2:
            tied = left[value[left] >= value[left].max() * (1 - ROUNDING)]
            p = pairs.take(tied)
            latency = self.prefill.latency_s[p.i], self.decode.latency_s[p.j]
            gpus = n[tied] * p.g + m[tied] * p.h
            first = tied[np.lexsort((p.j, p.i, *latency[::-1], m[tied], n[tied], gpus))[0]]
            ranked.append(first)
            left = left[left != first]
        return np.array(ranked)

    def matched(
        self,
        budget: Flat | Packed,
        solved: _Solved,
        supremum: float | None,
        ranges: Sequence[tuple[Shares, Shares]],
        counted: tuple[int, int],
        method: str,
        near: float,
    ) -> Match:
        """The plan and its certificate; `supremum` bounds it where it is not the optimum."""
        pair = solved.pairs.take(solved.best)
        n, m = int(solved.n[solved.best]), int(solved.m[solved.best])
        i, j, r, s = int(pair.i), int(pair.j), float(pair.r), float(pair.s)
        bill = budget.bill(pair, n, m)
        gpus, tokens_per_s = float(n * pair.g + m * pair.h), min(n * r, m * s) * self.tokens
        value = tokens_per_s / bill.cost
        bound = value if supremum is None else max(value, supremum * self.tokens)
        costs = self.prefill.weight_of(i) * pair.g, self.decode.weight_of(j) * pair.h
        certificate = Certificate(
            upper_bound=bound,
            gap=1.0 - value / bound,
            runner_up=self.option(solved),
            margin=self.margin(solved, supremum),
            prefill_rate_range=ranges[0][0],
            decode_rate_range=ranges[0][1],
            near_prefill_rate_range=ranges[1][0],
            near_decode_rate_range=ranges[1][1],
            near_frac=near,
            pairs_considered=counted[0],
            pairs_solved=counted[1],
            method=method,
        )
        whole = self.terms.whole or self.terms.limits.cap == np.inf or isinstance(budget, Packed)
        return Match(
            prefill_index=i,
            decode_index=j,
            prefill_instances=n,
            decode_instances=m,
            requests_per_s=min(n * r, m * s),
            output_tokens_per_s=tokens_per_s,
            gpus=gpus,
            paid_gpus=bill.gpus,
            output_tokens_per_s_per_gpu=tokens_per_s / bill.gpus,
            value=value,
            relaxed_value=float(self.tokens / (costs[0] / r + costs[1] / s)),
            ctx_gen_ratio=float(n * pair.g / (m * pair.h)),
            ftl_s=float(self.prefill.latency_s[i]),
            ttl_s=float(self.decode.latency_s[j]),
            copies=1 if whole else int(self.terms.limits.cap / (n * pair.u + m * pair.v)),
            certificate=certificate,
            domains=bill.domains,
        )

    def option(self, solved: _Solved) -> Option | None:
        """The runner-up as users see it."""
        if solved.runner is None:
            return None
        k, p = solved.runner, solved.pairs.take(solved.runner)
        value = float(solved.value[k] * self.tokens)
        return Option(value, int(p.i), int(p.j), int(solved.n[k]), int(solved.m[k]))

    def margin(self, solved: _Solved, supremum: float | None) -> float:
        """How much worse the runner-up is, as a part of our value (of bounds, without a cap)."""
        if solved.runner is None:
            return 1.0
        flat = supremum is not None and isinstance(self.budget, Flat)
        ours = supremum if flat else solved.value[solved.best]
        return float(max(1.0 - solved.value[solved.runner] / ours, 0.0))

    def nothing(self, ftl_s: float, ttl_s: float) -> NoMatch:
        """Why nothing fits, and the nearest targets that something does."""
        pairs = self.budget.pairs(quickest(self.prefill), quickest(self.decode))
        if self.terms.capped and len(pairs):
            pairs = pairs.take(self.budget.counts(pairs)[2] > 0)
        ftl, ttl = self.prefill.latency_s[pairs.i], self.decode.latency_s[pairs.j]
        return nothing(ftl, ttl, ftl_s, ttl_s)


def _second(ranked: np.ndarray) -> int | None:
    return int(ranked[1]) if len(ranked) > 1 else None
