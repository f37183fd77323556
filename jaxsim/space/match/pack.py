"""Which counts fit when an instance must not straddle a scale-up domain?

GPUs are bought by the domain, and every GPU of a bought domain is paid, idle or not. What lies
within one domain is the confined part of an instance (a pipeline stage; stages may lie apart). A
cluster of G GPUs is ⌊G/D⌋ domains of D and one of what is left. Both pools may share domains:
the most decode parts beside t prefill parts in k domains, M_k(t), is the best over how many of the
t the last domain takes, M_k(t) = max_a M_{k-1}(t − a) + ⌊(D − a·w_p) / w_d⌋: exact packing of two
sizes. Or each pool has domains of its own (unlike hardware).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from jaxsim.catalog.errors import InputError
from jaxsim.space.match.exact import NONE, ROUNDING, Limits
from jaxsim.space.match.prune import Pairs
from jaxsim.space.match.records import Column

_MOST_CELLS = 50_000_000


@dataclass(frozen=True)
class Shape:
    """One pair of shapes: parts of `width` GPUs, `parts` to an instance, of prefill and decode."""

    prefill_width: int
    prefill_parts: int
    decode_width: int
    decode_parts: int


@dataclass(frozen=True)
class Cells:
    """Purchases and prefill counts: beside `n` prefill instances, at most `m` decode instances.

    `prefill_paid` and `decode_paid` GPUs are bought for them; shared domains are all counted as
    prefill's.
    """

    n: Column
    m: Column
    prefill_paid: Column
    decode_paid: Column
    domains: Column


def beside(size: int, shape: Shape) -> Column:
    """Most decode parts beside 0, 1, … prefill parts in one domain of `size` GPUs."""
    taken = np.arange(size // shape.prefill_width + 1) * shape.prefill_width
    return (size - taken) // shape.decode_width


def _join(first: Column, second: Column) -> Column:
    """Most decode parts beside t prefill parts in two groups of domains together."""
    total = np.zeros(len(first) + len(second) - 1, dtype=first.dtype)
    for taken, room in enumerate(second):
        part = total[taken : taken + len(first)]
        np.maximum(part, first + room, out=part)
    return total


@lru_cache(maxsize=512)
def shared_cells(shape: Shape, domain: int, gpus: int) -> Cells:
    """Every purchase within a cluster of `gpus`, the pools sharing domains."""
    most, rest = divmod(gpus, domain)
    per = (domain // shape.prefill_width) // shape.prefill_parts + 1
    _check(most * most * per)
    nothing, whole = np.zeros(1, dtype=np.int64), beside(domain, shape)
    left = beside(rest, shape)
    groups, table = [], nothing
    for k in range(most + 1):
        if k:
            table = _join(table, whole)
            groups.append((k, k * domain, table))
        if rest:
            groups.append((k + 1, k * domain + rest, _join(table, left)))
    columns = []
    for domains, paid, parts in groups:
        n = np.arange((len(parts) - 1) // shape.prefill_parts + 1)
        m = parts[n * shape.prefill_parts] // shape.decode_parts
        columns.append((n, m, np.full_like(n, paid), np.full_like(n, domains)))
    if not columns:
        columns = [(nothing,) * 4]
    n, m, paid, domains = (np.concatenate(c).astype(float) for c in zip(*columns, strict=True))
    return Cells(n, m, paid, np.zeros_like(paid), domains)


@lru_cache(maxsize=512)
def separate_cells(shape: Shape, prefill_domain: int, decode_domain: int, gpus: int) -> Cells:
    """Every purchase within a cluster of `gpus`, each pool in whole domains of its own."""
    per_p, per_d = prefill_domain // shape.prefill_width, decode_domain // shape.decode_width
    if not (per_p and per_d):
        return Cells(*(np.zeros(1) for _ in range(5)))
    n = np.arange(gpus // prefill_domain * per_p // shape.prefill_parts + 1)
    domains = np.arange(gpus // decode_domain + 1)
    _check(len(n) * len(domains))
    n, decode_domains = (a.ravel() for a in np.meshgrid(n, domains))
    prefill_domains = -(-n * shape.prefill_parts // per_p)
    paid = prefill_domains * prefill_domain, decode_domains * decode_domain
    m = decode_domains * per_d // shape.decode_parts
    fits = paid[0] + paid[1] <= gpus
    columns = (n, m, *paid, prefill_domains + decode_domains)
    return Cells(*(c[fits].astype(float) for c in columns))


def _check(cells: int) -> None:
    if cells > _MOST_CELLS:
        raise InputError(
            f"Packing this cluster means about {cells:.1e} purchases and counts; at most"
            f" {_MOST_CELLS:.0e} are tried. Lower the cap, or plan a part of the cluster."
        )


def shape_of(g: float, confined_p: float, h: float, confined_d: float) -> Shape:
    """The shape of a pair: confined parts and how many make an instance."""
    for gpus, part in ((g, confined_p), (h, confined_d)):
        if part != round(part) or gpus != round(gpus) or gpus % part:
            raise InputError(
                f"An instance of {gpus:g} GPUs cannot be cut in parts of {part:g}: with"
                " domain_gpus, gpus must be whole multiples of confined_gpus."
            )
    return Shape(int(confined_p), int(g / confined_p), int(confined_d), int(h / confined_d))


def allowed(cells: Cells, pair: Pairs, limits: Limits) -> tuple[Column, Column]:
    """Least and greatest m of every cell under the ranges and the ratio; greatest −1 where none."""
    least, most = limits.decode_instances
    low, high = limits.ratio
    equal = cells.n / limits.scale(pair)
    most = np.minimum(cells.m, most)
    least = np.full_like(most, float(least))
    if high < np.inf:
        least = np.maximum(least, np.ceil(equal / high * (1.0 - ROUNDING)))
    if low > 0.0:
        most = np.minimum(most, np.floor(equal / low * (1.0 + ROUNDING)))
    first, last = limits.prefill_instances
    inside = (cells.n >= first) & (cells.n <= last) & (least <= most)
    return least, np.where(inside, most, -1.0)


def best_cell(
    cells: Cells, pair: Pairs, limits: Limits, cost: Column
) -> tuple[float, float, float, int]:
    """Counts, value and cell of the best plan of one pair, `cost` the cost of every cell.

    As many decode instances as prefill feeds, if there is room. Equal values: fewest GPUs.
    """
    least, most = allowed(cells, pair, limits)
    enough = np.ceil(cells.n * pair.r / pair.s * (1.0 - ROUNDING))
    m = np.clip(enough, least, np.maximum(most, least))
    served = np.minimum(cells.n * pair.r, m * pair.s)
    value = np.where((most >= 0) & (cost > 0), served / np.where(cost > 0, cost, 1.0), NONE)
    top = value.max(initial=NONE)
    if top <= 0:
        return 1.0, 1.0, NONE, 0
    gpus = cells.n * pair.g + m * pair.h + cells.prefill_paid * 1e-9  # then fewest paid
    at = int(np.where(value >= top * (1.0 - ROUNDING), gpus, np.inf).argmin())
    return float(cells.n[at]), float(m[at]), float(value[at]), at


def cell_rivals(
    cells: Cells, pair: Pairs, limits: Limits, cost: Column, shares: list[tuple[float, float]]
) -> list[tuple[float, float]]:
    """For each (α, β): largest β of a pair's plans with more α, and largest α with more β."""
    least, most = allowed(cells, pair, limits)
    ok = (most >= least) & (cost > 0)
    safe = np.where(cost > 0, cost, 1.0)
    alphas, betas = np.where(ok, cells.n * pair.r / safe, 0.0), most * pair.s / safe
    rivals = []
    for alpha, beta in shares:
        more = np.where(alphas > alpha * (1.0 + ROUNDING), betas, 0.0).max(initial=0.0)
        less = np.where(betas > beta * (1.0 + ROUNDING), alphas, 0.0).max(initial=0.0)
        rivals.append((float(more), float(less)))
    return rivals


def mixture_bound(alpha: Column, beta: Column) -> float:
    """Largest min(α, β) of any mixture of the points (α, β): a point, or where a segment crosses
    α = β."""
    feeds, starves = alpha >= beta, alpha <= beta
    pure = float(np.minimum(alpha, beta).max(initial=0.0))
    if not (feeds.any() and starves.any()):
        return pure
    a, b = alpha[feeds][:, None], beta[feeds][:, None]
    c, d = alpha[starves][None, :], beta[starves][None, :]
    gap = (a - b) + (d - c)
    crossing = np.where(gap > 0, (a * d - b * c) / np.where(gap > 0, gap, 1.0), np.minimum(a, d))
    return max(pure, float(crossing.max()))
