"""What may a plan use, and what of it is paid?

`Flat` budgets count GPUs (or their cost) one by one; `Packed` ones buy whole scale-up domains.
Both have the same four methods on a set of pairs: no value above which (`bound`), the best
counts (`counts`), what they cost (`bill`), and which plans are rivals (`rivals`).
"""

from dataclasses import dataclass, replace

import numpy as np

from jaxsim.catalog.errors import InputError
from jaxsim.space.match import pack
from jaxsim.space.match.exact import NONE, Limits, best_counts, upper_bound
from jaxsim.space.match.prune import Pairs, pairs_of
from jaxsim.space.match.records import Column, Pool
from jaxsim.space.match.stability import Shares, rivals


@dataclass(frozen=True)
class Terms:
    """The limits of a problem, checked. `whole` says that the whole cap is paid whatever runs."""

    limits: Limits
    by_cost: bool
    whole: bool
    free_weight: float

    @property
    def capped(self) -> bool:
        """Whether the number of plans to try is finite."""
        limits = self.limits
        most = min(limits.prefill_instances[1], limits.decode_instances[1])
        return bool(min(limits.cap, most) < np.inf)


def terms_of(
    prefill: Pool,
    decode: Pool,
    caps: dict[str, float | None],
    ratio: float | None,
    ratio_tolerance: float,
    prefill_instances: tuple[int, int | None],
    decode_instances: tuple[int, int | None],
    paired: bool = False,
) -> Terms:
    """The terms that the arguments of `match` mean."""
    given = {name: value for name, value in caps.items() if value is not None}
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} were given; give one of them.")
    name, cap = next(iter(given.items()), ("", np.inf))
    if not cap > 0:
        raise InputError(f"{name} is {cap}; it must be positive.")
    cone = (0.0, np.inf)
    if ratio is not None:
        if not 0 < ratio < np.inf:
            raise InputError(f"ratio is {ratio}; prefill GPUs / decode GPUs must be positive.")
        if not 0 <= ratio_tolerance < 1:
            raise InputError(f"ratio_tolerance is {ratio_tolerance}; needs 0 <= tolerance < 1.")
        cone = (ratio * (1 - ratio_tolerance), ratio * (1 + ratio_tolerance))
    if paired:
        if ratio is not None:
            raise InputError("ratio and paired were given; give one of them.")
        cone = (1.0, 1.0)
    free = 0.0
    if name == "exact_gpus":  # GPUs left over idle at the lowest weight
        weights = np.concatenate([np.ravel(prefill.weight), np.ravel(decode.weight)])
        free = float(weights.min())
    fixed = cap * free if name == "exact_gpus" else (cap if name == "exact_cost" else 0.0)
    limits = Limits(
        cap,
        fixed,
        _range("prefill_instances", prefill_instances),
        _range("decode_instances", decode_instances),
        cone,
        paired,
    )
    return Terms(limits, name.endswith("cost"), name.startswith("exact"), free)


def check_numbers(osl: float, tolerance: float) -> None:
    """Refuse an output too short to decode, and a tolerance that says nothing."""
    if not osl > 1:
        raise InputError(f"osl is {osl}; decode produces osl - 1 tokens, so it must exceed 1.")
    if not 0 < tolerance < 1:
        raise InputError(f"tolerance is {tolerance}; it must lie strictly between 0 and 1.")


def _range(name: str, given: tuple[int, int | None]) -> tuple[float, float]:
    least, most = given[0], np.inf if given[1] is None else given[1]
    if not 1 <= least <= most:
        raise InputError(f"{name} is {given}; needs 1 <= least <= most.")
    return (least, most)


@dataclass(frozen=True)
class Bill:
    """What a plan costs, which GPUs are paid, and in how many domains they lie."""

    cost: float
    gpus: float
    domains: int | None


@dataclass(frozen=True)
class Flat:
    """GPUs are bought one by one, and an instance may lie anywhere."""

    prefill: Pool
    decode: Pool
    terms: Terms

    @property
    def limits(self) -> Limits:
        """The limits of the terms."""
        return self.terms.limits

    def pairs(self, i: Column, j: Column) -> Pairs:
        """All pairs of candidates `i` and `j`, with what they take of the cap and cost."""
        terms = self.terms
        pairs = pairs_of(
            self.prefill, self.decode, i, j, by_cost=terms.by_cost, free_weight=terms.free_weight
        )
        if terms.by_cost and terms.whole:
            pairs = replace(pairs, a=np.zeros(len(pairs)), b=np.zeros(len(pairs)))
        return pairs

    def bound(self, pairs: Pairs) -> Column:
        """A value that no plan of a pair exceeds."""
        return upper_bound(pairs, self.limits)

    def counts(self, pairs: Pairs) -> tuple[Column, Column, Column]:
        """Best counts n, m and their value; −1 where none fit."""
        return best_counts(pairs, self.limits)

    def bill(self, pair: Pairs, n: float, m: float) -> Bill:
        """What n and m instances of a pair cost."""
        cost = self.limits.fixed_cost + n * pair.a + m * pair.b
        whole = self.terms.whole and not self.terms.by_cost
        return Bill(float(cost), float(self.limits.cap if whole else n * pair.g + m * pair.h), None)

    def rivals(self, fastest: Pairs, shares: list[Shares]) -> list[Shares]:
        """For each (α, β): largest β of plans with more α, and largest α of plans with more β."""
        return rivals(fastest, self.limits, shares)


@dataclass(frozen=True)
class Packed:
    """GPUs are bought by the domain, and the confined part of an instance lies within one.

    `domains` are the GPUs of a domain of each pool; `shared` lets both pools use one domain.
    """

    flat: Flat
    domains: tuple[int, int]
    shared: bool

    def __post_init__(self):
        weights = self.flat.prefill.weight, self.flat.decode.weight
        if self.shared and (np.ptp(np.concatenate([np.ravel(w) for w in weights])) > 0):
            raise InputError(
                "Pools of different weight cannot share domains: their GPUs differ. Give"
                " domain_gpus=(prefill, decode) for domains of their own."
            )

    def pairs(self, i: Column, j: Column) -> Pairs:
        """All pairs of candidates whose confined part fits in a domain."""
        flat = self.flat
        i = i[flat.prefill.confined_of(i) <= self.domains[0]]
        j = j[flat.decode.confined_of(j) <= self.domains[1]]
        return flat.pairs(i, j)

    def shape(self, pair: Pairs) -> pack.Shape:
        """The shape of one pair."""
        flat = self.flat
        confined = flat.prefill.confined_of(pair.i), flat.decode.confined_of(pair.j)
        return pack.shape_of(float(pair.g), float(confined[0]), float(pair.h), float(confined[1]))

    def _weights(self, pair: Pairs) -> tuple[float, float]:
        prefill, decode = self.flat.prefill, self.flat.decode
        return float(prefill.weight_of(pair.i)), float(decode.weight_of(pair.j))

    def _gpus(self, pair: Pairs) -> int:
        """GPUs that no plan worth looking at exceeds."""
        limits, shape = self.flat.limits, self.shape(pair)
        if limits.cap < np.inf:
            return int(limits.cap / (min(self._weights(pair)) if self.flat.terms.by_cost else 1.0))
        x = float(pair.r / pair.s)
        n = min(limits.prefill_instances[1], limits.decode_instances[1] / x + 1.0)
        m = min(limits.decode_instances[1], limits.prefill_instances[1] * x + 1.0)
        n, m = max(n, limits.prefill_instances[0]), max(m, limits.decode_instances[0])
        per = self.domains[0] // shape.prefill_width, self.domains[1] // shape.decode_width
        need = np.ceil(np.ceil(n) * shape.prefill_parts / per[0]) * self.domains[0]
        return int(need + np.ceil(np.ceil(m) * shape.decode_parts / per[1]) * self.domains[1])

    def _cells(self, pair: Pairs) -> tuple[pack.Cells, Column]:
        """Every purchase of one pair and its cost (0 where the cap forbids it)."""
        terms, shape, gpus = self.flat.terms, self.shape(pair), self._gpus(pair)
        if self.shared:
            cells = pack.shared_cells(shape, self.domains[0], gpus)
        else:
            cells = pack.separate_cells(shape, *self.domains, gpus)
        wp, wd = self._weights(pair)
        whole = cells.prefill_paid * wp + cells.decode_paid * wd
        if terms.by_cost:
            within = whole <= self.flat.limits.cap * (1 + 1e-12)
            return cells, np.where(within, terms.limits.fixed_cost or whole, 0.0)
        free = terms.free_weight * (cells.prefill_paid + cells.decode_paid)
        return cells, terms.limits.fixed_cost + whole - free

    def bound(self, pairs: Pairs) -> Column:
        """Domains of every content may be mixed at will: the linear relaxation."""
        return np.array([self._bound(pairs.take(k)) for k in range(len(pairs))])

    def _bound(self, pair: Pairs) -> float:
        shape, (wp, wd) = self.shape(pair), self._weights(pair)
        if not self.shared:
            per = self.domains[0] // shape.prefill_width, self.domains[1] // shape.decode_width
            a = self.domains[0] * wp * shape.prefill_parts / per[0]
            b = self.domains[1] * wd * shape.decode_parts / per[1]
            return float(1.0 / (a / pair.r + b / pair.s))
        sizes = [self.domains[0]]
        if self.flat.limits.cap < np.inf and not self.flat.terms.by_cost:
            sizes.append(int(self.flat.limits.cap) % self.domains[0])
        points = []
        for size in filter(None, sizes):
            decode_parts = pack.beside(size, shape)
            prefill_parts = np.arange(len(decode_parts))
            alpha = prefill_parts / shape.prefill_parts * pair.r / (size * wp)
            points.append((alpha, decode_parts / shape.decode_parts * pair.s / (size * wp)))
        alpha, beta = (np.concatenate(c) for c in zip(*points, strict=True))
        return pack.mixture_bound(alpha, beta)

    def counts(self, pairs: Pairs) -> tuple[Column, Column, Column]:
        """Best counts n, m and their value; −1 where none fit."""
        best = [self.best(pairs.take(k))[:3] for k in range(len(pairs))]
        n, m, value = np.array(best).reshape(-1, 3).T
        return n, m, value

    def best(self, pair: Pairs) -> tuple[float, float, float, int]:
        """Counts, value and cell of the best plan of one pair."""
        cells, cost = self._cells(pair)
        return pack.best_cell(cells, pair, self.flat.limits, cost)

    def bill(self, pair: Pairs, n: float, m: float) -> Bill:
        """What the best plan of a pair costs."""
        cells, cost = self._cells(pair)
        _, _, value, at = pack.best_cell(cells, pair, self.flat.limits, cost)
        assert value > NONE
        paid = float(cells.prefill_paid[at] + cells.decode_paid[at])
        if self.flat.terms.whole and not self.flat.terms.by_cost:
            paid = float(self.flat.limits.cap)
        return Bill(float(cost[at]), paid, int(cells.domains[at]))

    def rivals(self, fastest: Pairs, shares: list[Shares]) -> list[Shares]:
        """For each (α, β): largest β of plans with more α, and largest α of plans with more β."""
        most = np.zeros((len(shares), 2))
        for k in range(len(fastest)):
            pair = fastest.take(k)
            cells, cost = self._cells(pair)
            rivals = pack.cell_rivals(cells, pair, self.flat.limits, cost, shares)
            most = np.maximum(most, rivals)
        return [(float(beta), float(alpha)) for beta, alpha in most]

    def within(self, gpus: float) -> "Packed":
        """The same with a cap."""
        limits = replace(self.flat.limits, cap=gpus)
        return replace(self, flat=replace(self.flat, terms=replace(self.flat.terms, limits=limits)))


def budget_of(
    prefill: Pool, decode: Pool, terms: Terms, domain_gpus: int | tuple[int, int] | None
) -> Flat | Packed:
    """The budget that `terms` mean, packed where there are domains."""
    flat = Flat(prefill, decode, terms)
    if domain_gpus is None:
        return flat
    shared = not isinstance(domain_gpus, tuple)
    sizes = (domain_gpus, domain_gpus) if shared else domain_gpus
    if min(sizes) < 1:
        raise InputError(f"domain_gpus is {domain_gpus}; a domain has at least one GPU.")
    return Packed(flat, (int(sizes[0]), int(sizes[1])), shared)


def approach(budget: Packed, pair: Pairs, bound: float, tolerance: float) -> Packed:
    """The smallest cap at which a pair comes within `tolerance` of its bound."""
    unit = min(budget.domains)
    least = 1 if budget.shared else -(-sum(budget.domains) // unit)
    low, high = least - 1, least

    def falls_short(units: int) -> bool:
        return budget.within(units * unit).best(pair)[2] < bound * (1 - tolerance)

    while falls_short(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if falls_short(middle) else (low, middle)
    return budget.within(high * unit)
