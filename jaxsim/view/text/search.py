"""What was found, on a page: how throughput moves over workloads, and which designs are best."""

import itertools
import math
from collections.abc import Sequence

import numpy as np

from jaxsim.catalog.setup import Setup
from jaxsim.space.search import SearchResult
from jaxsim.view.text.layout import Page, wrap
from jaxsim.view.text.search_table import BestDesigns, designs_of
from jaxsim.view.text.tables import table, with_bars
from jaxsim.view.text.units import count, percent, plain, prefixed, seconds

_MOST_ROWS = 12  # that are shown one by one
_MOST_LENGTHS = 7  # of a map, in each direction
_MOST_SHAPES = 6
_BAR_CELLS = 24
_PHASES = {"prefill": "prefill", "decode": "decode", "colocated": "co-located"}
_RATES = {"prefill": "Input tokens/s/GPU"}
_TARGETS = {"ttl_target": "TTL", "ftl_target": "FTL"}


def render(
    result: SearchResult,
    setups: Sequence[Setup],
    elapsed_s: float,
    machine: str,
    notes: Sequence[str],
    page: Page,
) -> str:
    """The page: for each chip and target, a map or a list, and the instances that are best."""
    best, first = designs_of(result, setups), setups[0]
    where = ", ".join(setup.hardware.name for setup in setups)
    numbers = ", ".join(dict.fromkeys(setup.precision_name for setup in setups))
    software = ", ".join(dict.fromkeys(setup.engine.name for setup in setups))
    head = f"Best {_PHASES[result.phase]} designs of {first.model.name} on {where}"
    lines = [page.paint(line, "bold") for line in wrap(head, page)]
    lines += wrap(f"{numbers} · engine {software} · {_lengths(result)}", page)
    notes = (*dict.fromkeys(note for setup in setups for note in setup.notes), *notes)
    rate = best.points / max(elapsed_s, 1e-9)
    designs = f"{count(best.points)} designs in {seconds(elapsed_s)} ({prefixed(rate, '/s')})"
    lines += wrap(f"{designs} on {machine}, imports apart", page)
    lines += [line for note in notes for line in wrap(note, page)]
    separate = [dim for dim in best.dims if dim == "setup" or dim in _TARGETS]
    for place in itertools.product(*(range(best.rate.shape[best.dims.index(d)]) for d in separate)):
        chosen = dict(zip(separate, place, strict=True))
        at = tuple(chosen.get(dim, slice(None)) for dim in best.dims)
        lines += ["", *_heading(result, setups, chosen, page)]
        if not best.valid[at].any():
            limits = [result.axes[dim][i] for dim, i in chosen.items() if dim in _TARGETS]
            why = "within the target" if np.isfinite(limits).any() else "for its memory or widths"
            lines += [f"  no design is valid {why}"]
            continue
        *workloads, ranks = best.valid[at].shape
        few = math.prod(workloads) * ranks <= _MOST_ROWS
        in_a_line = sum(n > 1 for n in workloads) <= 1
        lines += (_listed if few or in_a_line else _map)(best, at, page)
        lines += [] if few else _shapes(best, at, page)
    return page.finish(lines)


def _lengths(result: SearchResult) -> str:
    """The lengths of all workloads: `ISL 1,024 – 65,536 (200), OSL 2,048`."""
    parts = []
    for name in ("isl", "osl"):
        if name in result.groups:
            values = result.axes[name]
            span = f"{name.upper()} {values[0]:,.0f}"
            if len(values) > 1:
                span += f" – {values[-1]:,.0f} ({len(values):,} values)"
            parts.append(span)
    return ", ".join(parts)


def _heading(
    result: SearchResult, setups: Sequence[Setup], chosen: dict[str, int], page: Page
) -> list[str]:
    rate = _RATES.get(result.phase, "Output tokens/s/GPU")
    limits = [
        f"{_TARGETS[dim]} ≤ {seconds(float(f'{result.axes[dim][i]:.6g}'))}"
        for dim, i in chosen.items()
        if dim in _TARGETS and np.isfinite(result.axes[dim][i])
    ]
    where = [setups[chosen["setup"]].hardware.name] if "setup" in chosen else []
    return [page.paint(" · ".join([f"{rate} of the best design", *where, *limits]), "bold")]


def _design(designs: dict[str, np.ndarray], place: tuple[int, ...]) -> list[str]:
    """The widths, what is held at once, and the GPUs, of one design."""
    own = {name: float(values[place]) for name, values in designs.items()}
    gpus = max(own["tp"], own["ep"]) * own["pp"]
    shape = " ".join(f"{name.upper()}{own[name]:.0f}" for name in ("tp", "ep", "pp"))
    held = [f"{name} {own[name]:,.0f}" for name in ("batch", "chunk") if name in own]
    return [shape, ", ".join(held), f"{gpus:,.0f} GPUs" if gpus > 1 else "1 GPU"]


def _listed(best: BestDesigns, at: tuple[int | slice, ...], page: Page) -> list[str]:
    """Every design in a row of its own; of many workloads, the best of a few."""
    designs = {name: values[at] for name, values in best.axes.items()}
    value, ok = best.rate[at], best.valid[at]
    kept = [dim for dim in best.dims if dim in ("isl", "osl", "rank")]
    few = value.size <= _MOST_ROWS
    places = [range(n) if few else _some(n) for n in value.shape[:-1]]
    ranks = few and value.shape[-1] > 1
    rows = [[d.upper() if d != "rank" else d for d in kept if d != "rank" or ranks]]
    rows[0] += ["tokens/s/GPU", "design", "", ""]
    for place in itertools.product(*places, range(value.shape[-1] if few else 1)):
        lengths = [
            f"{best.named[dim][i]:,.0f}"
            for dim, i in zip(kept, place, strict=True)
            if dim != "rank"
        ]
        rank = [str(place[-1] + 1)] if ranks else []
        held = _design(designs, place) if ok[place] else ["none"]
        rows.append([*lengths, *rank, plain(float(value[place])), *held])
    left = range(len(rows[0]) - 3, len(rows[0]))
    return table(rows, page, left)


def _some(length: int) -> list[int]:
    """Places of a few of so many values, evenly, the first and the last among them."""
    return sorted({round(x) for x in np.linspace(0, length - 1, min(length, _MOST_LENGTHS))})


def _map(best: BestDesigns, at: tuple[int | slice, ...], page: Page) -> list[str]:
    """Throughput at a few input lengths (down) and output lengths (across)."""
    value = best.rate[at][..., 0]
    across = _some(value.shape[1])
    rows = [["ISL", *(f"OSL {best.named['osl'][j]:,.0f}" for j in across)]]
    for i in _some(value.shape[0]):
        cells = [plain(float(value[i, j])) for j in across]
        rows.append([f"{best.named['isl'][i]:,.0f}", *cells])
    return table(rows, page, ())


def _shapes(best: BestDesigns, at: tuple[int | slice, ...], page: Page) -> list[str]:
    """The instances that are best for most workloads, and with which batches."""
    ok = best.valid[at][..., 0]
    designs = {name: values[at][..., 0][ok] for name, values in best.axes.items()}
    shapes = np.stack([designs[name].astype(int) for name in ("tp", "ep", "pp")], axis=1)
    kinds, own, won = np.unique(shapes, axis=0, return_inverse=True, return_counts=True)
    rows: list[list[str]] = []
    shares: list[float | None] = []
    for kind in np.argsort(-won, kind="stable")[:_MOST_SHAPES]:
        mine = designs["batch"][own.reshape(-1) == kind]
        low, high = mine.min(), mine.max()
        batch = f"batch {low:,.0f}" + (f" – {high:,.0f}" if high > low else "")
        tp, ep, pp = kinds[kind]
        share = float(won[kind]) / len(shapes)
        rows.append([f"TP{tp} EP{ep} PP{pp}", batch, percent(share)])
        shares.append(share)
    head = "Instances of the best designs, by share of workloads"
    if not ok.all():
        head += f" ({count(int((~ok).sum()))} of {count(ok.size)} have none)"
    if len(kinds) > len(rows):
        rows.append([f"{len(kinds) - len(rows)} others"])
        shares.append(None)
    return ["", *wrap(head, page), *with_bars(rows, shares, page, (0, 1), most=_BAR_CELLS)]
