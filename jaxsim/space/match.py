"""How many prefill instances of which shape feed how many decode instances of which shape?

The optimum over all pairs of designs and all integer counts, with a proof. Each pool collapses to
the fastest design of every shape (exact: see `match_collapse`); pairs are solved in the order of
their relaxed bounds until no bound left is above the best *other* pair found, so both the optimum
and the runner-up are proved.
"""

import numpy as np

from jaxsim.catalog.errors import InputError
from jaxsim.point.matching import STUDY_TOLERANCE, simplest_fraction
from jaxsim.space import match_stability as stability
from jaxsim.space.match_collapse import Pairs, collapse, pairs_of, usable
from jaxsim.space.match_exact import (
    ROUNDING,
    Limits,
    best_counts,
    relaxed_ratio,
    upper_bound,
    value_of,
)
from jaxsim.space.match_nearest import nothing, quickest
from jaxsim.space.match_records import Certificate, Match, NoMatch, Option, Pool

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
    tolerance: float = STUDY_TOLERANCE,
) -> Match | NoMatch:
    """The plan of most output tokens/s per GPU × weight under both targets, with its certificate.

    With a cap (`max_gpus`, or `max_cost` on GPUs × weight) only what runs is paid; with
    `exact_gpus` or `exact_cost` all of it is paid and what is left over idles (GPUs of two prices
    idle at the lower one). Without either, integers only approach the optimum of real counts: the
    smallest within `tolerance` are returned, and the gap says what they lose. `ratio` fixes
    prefill GPUs / decode GPUs within `ratio_tolerance` (0: exactly).

    Where nothing meets the targets, the nearest that can be met.
    """
    problem = _Problem(prefill, decode, osl, tolerance, ratio_tolerance)
    problem.limit(max_gpus, exact_gpus, max_cost, exact_cost)
    problem.restrict(ratio, prefill_instances, decode_instances)
    return problem.solve(ftl_s, ttl_s)


class _Problem:
    """One matching problem, checked."""

    def __init__(self, prefill, decode, osl, tolerance, ratio_tolerance):
        if not osl > 1:
            raise InputError(f"osl is {osl}; decode produces osl - 1 tokens, so it must exceed 1.")
        self.prefill, self.decode, self.tokens = prefill, decode, osl - 1
        self.tolerance, self.ratio_tolerance = tolerance, ratio_tolerance

    def limit(self, max_gpus, exact_gpus, max_cost, exact_cost):
        """Take the cap: which resource it counts, and what of it is paid whatever runs."""
        names = ("max_gpus", "exact_gpus", "max_cost", "exact_cost")
        given = [
            (name, value)
            for name, value in zip(names, (max_gpus, exact_gpus, max_cost, exact_cost), strict=True)
            if value is not None
        ]
        if len(given) > 1:
            raise InputError(f"{' and '.join(n for n, _ in given)} were given; give one of them.")
        name, self.cap = given[0] if given else ("", np.inf)
        if not self.cap > 0:
            raise InputError(f"{name} is {self.cap}; it must be positive.")
        self.by_cost = name.endswith("cost")
        self.fixed, self.free_weight = 0.0, 0.0
        if name == "exact_gpus":
            weights = (
                self.prefill.weight.min(initial=np.inf),
                self.decode.weight.min(initial=np.inf),
            )
            self.free_weight = float(min(weights)) if min(weights) < np.inf else 1.0
            self.fixed = self.cap * self.free_weight
        self.whole_cost = name == "exact_cost"
        if self.whole_cost:
            self.fixed = self.cap

    def restrict(self, ratio, prefill_instances, decode_instances):
        """Take the limits on counts and on their ratio."""
        ranges = []
        for name, (least, most) in (
            ("prefill_instances", prefill_instances),
            ("decode_instances", decode_instances),
        ):
            most = np.inf if most is None else most
            if not 1 <= least <= most:
                raise InputError(f"{name} is ({least}, {most}); needs 1 <= least <= most.")
            ranges.append((least, most))
        cone = (0.0, np.inf)
        if ratio is not None:
            if not 0 < ratio < np.inf:
                raise InputError(f"ratio is {ratio}; prefill GPUs / decode GPUs must be positive.")
            if not 0 <= self.ratio_tolerance < 1:
                raise InputError(f"ratio_tolerance is {self.ratio_tolerance}; needs 0 <= t < 1.")
            cone = (ratio * (1 - self.ratio_tolerance), ratio * (1 + self.ratio_tolerance))
        self.ratio = ratio
        self.limits = Limits(self.cap, self.fixed, ranges[0], ranges[1], cone)
        self.bounded = np.isfinite(self.cap) or any(np.isfinite(most) for _, most in ranges)

    def pairs(self, i, j) -> Pairs:
        """All pairs of these candidates."""
        pairs = pairs_of(
            self.prefill, self.decode, i, j, by_cost=self.by_cost, free_weight=self.free_weight
        )
        if self.whole_cost:
            zero = np.zeros(len(pairs))
            pairs = Pairs(*(getattr(pairs, f) for f in "ijrsghuv"), zero, zero)
        return pairs

    def counts(self, pairs: Pairs):
        """n, m and value of each pair."""
        if self.bounded:
            return best_counts(pairs, self.limits)
        return self._rounded(pairs)

    def _rounded(self, pairs: Pairs):
        """Smallest counts near the best real ratio, repeated until there are enough of each."""
        x = relaxed_ratio(pairs, self.limits)
        scale = pairs.h / pairs.g
        slack = self.tolerance + ROUNDING
        low = np.maximum(x * (1 - slack), self.limits.ratio[0] * scale * (1 - ROUNDING))
        high = np.minimum(x * (1 + slack), self.limits.ratio[1] * scale * (1 + ROUNDING))
        n, m = (a.astype(float) for a in simplest_fraction(low, high))
        least_n, least_m = self.limits.prefill_instances[0], self.limits.decode_instances[0]
        times = np.ceil(np.maximum(least_n / n, least_m / m))
        n, m = n * times, m * times
        return n, m, value_of(pairs, n, m)

    def solve(self, ftl_s, ttl_s) -> Match | NoMatch:
        """The answer."""
        all_i, all_j = usable(self.prefill, ftl_s), usable(self.decode, ttl_s)
        pairs = self.pairs(collapse(self.prefill, all_i), collapse(self.decode, all_j))
        bound = upper_bound(pairs, self.limits) if len(pairs) else np.zeros(0)
        order = np.argsort(-bound, kind="stable")
        n, m, value = (np.full(len(pairs), np.nan) for _ in range(3))
        solved, threshold = 0, 0.0
        if not self.bounded:  # the real optimum names the designs; its bound is the whole answer
            return self._unbounded(pairs, bound, ftl_s, ttl_s, len(all_i) * len(all_j))
        while solved < len(order) and bound[order[solved]] >= threshold * (1 - ROUNDING):
            block = order[solved : solved + (_NEXT if solved else _FIRST)]
            n[block], m[block], value[block] = self.counts(pairs.take(block))
            solved += len(block)
            if solved > 1:
                threshold = np.partition(value[order[:solved]], -2)[-2]
        done = order[:solved]
        done = done[value[done] > 0]
        if not done.size:
            return self._nothing(ftl_s, ttl_s)
        ranked = self._ranked(pairs.take(done), n[done], m[done], value[done])
        best = done[ranked[0]]
        ours = self._shares(pairs.take(best), n[best], m[best])
        fastest = self.pairs(collapse(self.prefill, all_i, 1), collapse(self.decode, all_j, 1))
        ranges = stability.rate_ranges(ours, *stability.rivals(fastest, self.limits, ours))
        return self._answer(
            pairs,
            n,
            m,
            value,
            best,
            done[ranked[1]] if len(ranked) > 1 else None,
            value[best],
            ranges,
            (len(all_i) * len(all_j), solved),
            "exact",
        )

    def _unbounded(self, pairs, bound, ftl_s, ttl_s, considered):
        if not len(pairs):
            return self._nothing(ftl_s, ttl_s)
        ones = np.ones(len(pairs))
        ranked = self._ranked(pairs, ones, ones, bound)
        best = ranked[0]
        n, m, value = self._rounded(pairs)
        x = float(pairs.s[best] / pairs.r[best])
        divisor = np.gcd(int(n[best]), int(m[best]))
        low, high = (0.0, np.inf)
        if self.ratio is None:
            low, high = stability.counts_range(
                x, int(n[best] // divisor), int(m[best] // divisor), self.tolerance
            )
        inverse = (1 / high if high < np.inf else 0.0, 1 / low if low > 0 else np.inf)
        runner = ranked[1] if len(ranked) > 1 else None
        return self._answer(
            pairs,
            n,
            m,
            np.where(np.arange(len(pairs)) == best, value, bound),
            best,
            runner,
            bound[best],
            (inverse, (low, high)),
            (considered, len(pairs)),
            "rounded",
        )

    def _shares(self, pair, n, m):
        cost = self.fixed + n * pair.a + m * pair.b
        return float(n * pair.r / cost), float(m * pair.s / cost)

    def _ranked(self, pairs: Pairs, n, m, value) -> np.ndarray:
        """Best two pairs first: by value; among equals fewest GPUs, then latency, then order."""
        left, ranked = np.arange(len(pairs)), []
        while left.size and len(ranked) < 2:
            tied = left[value[left] >= value[left].max() * (1 - ROUNDING)]
            p = pairs.take(tied)
            keys = (
                p.j,
                p.i,
                self.decode.latency_s[p.j],
                self.prefill.latency_s[p.i],
                m[tied],
                n[tied],
                n[tied] * p.g + m[tied] * p.h,
            )
            first = tied[np.lexsort(keys)[0]]
            ranked.append(first)
            left = left[left != first]
        return np.array(ranked)

    def _answer(self, pairs, n, m, value, best, runner, bound, ranges, counted, method) -> Match:
        pair, count_p, count_d = pairs.take(best), int(n[best]), int(m[best])
        i, j = int(pair.i), int(pair.j)
        requests = min(count_p * float(pair.r), count_d * float(pair.s))
        gpus = float(count_p * pair.g + count_d * pair.h)
        cost = float(self.fixed + count_p * pair.a + count_d * pair.b)
        best_value = requests * self.tokens / cost
        options = None
        if runner is not None:
            other = pairs.take(runner)
            options = Option(
                float(value[runner] * self.tokens),
                int(other.i),
                int(other.j),
                int(n[runner]),
                int(m[runner]),
            )
        limit = float(bound * self.tokens)
        used = float(count_p * pair.u + count_d * pair.v)
        weight = max(self.free_weight, 0.0)
        paid = cost / weight if weight else (gpus if not self.whole_cost else self.cap)
        clear = (
            self.prefill.weight_of(i) * pair.g / pair.r + self.decode.weight_of(j) * pair.h / pair.s
        )
        certificate = Certificate(
            upper_bound=max(limit, best_value),
            gap=max(0.0, 1.0 - best_value / limit) if method != "exact" else 0.0,
            runner_up=options,
            margin=1.0 - options.value / limit if options else 1.0,
            prefill_rate_range=ranges[0],
            decode_rate_range=ranges[1],
            pairs_considered=counted[0],
            pairs_solved=counted[1],
            method=method,
        )
        return Match(
            i,
            j,
            count_p,
            count_d,
            requests,
            requests * self.tokens,
            gpus,
            paid,
            requests * self.tokens / paid,
            best_value,
            float(self.tokens / clear),
            float(count_p * pair.g / (count_d * pair.h)),
            float(self.prefill.latency_s[i]),
            float(self.decode.latency_s[j]),
            int(self.cap // used) if np.isfinite(self.cap) and not self.fixed else 1,
            certificate,
        )

    def _nothing(self, ftl_s, ttl_s) -> NoMatch:
        """Why nothing fits, and the nearest targets that something does."""
        i, j = quickest(self.prefill), quickest(self.decode)
        pairs = self.pairs(i, j)
        value = self.counts(pairs)[2] if len(pairs) else np.zeros(0)
        pairs = pairs.take(value > 0)
        ftl, ttl = self.prefill.latency_s[pairs.i], self.decode.latency_s[pairs.j]
        return nothing(ftl, ttl, ftl_s, ttl_s)
