"""Which runs drafted tokens (speculative decoding) without saying so?

Judged from measurements alone, never from a prediction: for one request after another, a model
whose checkpoint has layers that draft cannot answer much faster on fewer GPUs than on more of the
same kind, with the same engine, formats and lengths. Where it does, the whole curve is set apart.
"""

from collections.abc import Sequence
from dataclasses import replace

from jaxsim.catalog.errors import InputError
from jaxsim.catalog.load import load_model
from jaxsim.truth.read.rows import ServingRow

# Runs repeat within 1 %, and versions of a day within a few; this is beyond both.
FASTER = 0.9
WHY = "faster than on twice the GPUs: drafts are likely, and not stated"


def set_apart(rows: Sequence[ServingRow]) -> list[ServingRow]:
    """The rows, those of curves that must have drafted excluded, their speculation unknown."""
    curves: dict[tuple[object, ...], dict[tuple[float, ...], list[ServingRow]]] = {}
    for row in rows:
        if row.mode != "colocated" or row.decode is None or not row.tpot_s or row.excluded:
            continue
        head = (row.model, row.hardware, row.framework, row.version, row.precision)
        alike = curves.setdefault((*head, *row.formats, row.isl, row.osl), {})
        shape = (row.decode.gpus, row.decode.tp, row.decode.ep, row.decode.pp)
        alike.setdefault(shape, []).append(row)
    drafted: set[int] = set()
    for (model, *_), alike in curves.items():
        if len({shape[0] for shape in alike}) < 2 or not _drafts(str(model)):
            continue
        for shape, own in alike.items():
            others = [rows for other, rows in alike.items() if other[0] >= 2.0 * shape[0]]
            if any(_faster(own, other) for other in others):
                drafted |= {id(row) for row in own}
    return [
        replace(row, speculation="unknown", speculation_known=False, excluded=WHY)
        if id(row) in drafted
        else row
        for row in rows
    ]


def _faster(own: Sequence[ServingRow], other: Sequence[ServingRow]) -> bool:
    """Whether a curve is much faster than another at the fewest requests that both have."""
    mine, theirs = (
        {row.concurrency: row.tpot_s for row in rows if row.tpot_s} for rows in (own, other)
    )
    shared = sorted(load for load in mine if load is not None and load in theirs)
    return bool(shared) and (mine[shared[0]] or 0.0) < FASTER * (theirs[shared[0]] or 0.0)


def _drafts(name: str) -> bool:
    """Whether a model's checkpoint has layers that draft."""
    try:
        return load_model(name).mtp_layers > 0
    except InputError:
        return False
