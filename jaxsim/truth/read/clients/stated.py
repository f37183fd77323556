"""What does the caller say about measured runs where their file does not?"""

from dataclasses import dataclass, replace
from typing import TypedDict

from jaxsim.catalog.errors import InputError
from jaxsim.catalog.names import resolve_hardware
from jaxsim.traffic.layout import Layout
from jaxsim.truth.read.rows import ServingRow


@dataclass(frozen=True)
class Stated:
    """What the caller says about a run where its file does not; empty or None: nothing.

    With a `prefill_…` width, prompts were processed by a pool of their own. `prompts` are all
    requests of the run.
    """

    model: str = ""
    hardware: str = ""
    engine: str = ""
    precision: str = ""
    tp: float | None = None
    ep: float | None = None
    pp: float | None = None
    instances: float | None = None
    prefill_tp: float | None = None
    prefill_ep: float | None = None
    prefill_pp: float | None = None
    prefill_instances: float | None = None
    concurrency: float | None = None
    rate: float | None = None
    prompts: float | None = None
    isl: float | None = None
    osl: float | None = None
    hit_frac: float | None = None
    draft_tokens: float | None = None
    accept_frac: float | None = None

    @property
    def prefill(self) -> Layout | None:
        """The pool of its own that processed prompts, None where none was stated."""
        sizes = (self.prefill_tp, self.prefill_ep, self.prefill_pp, self.prefill_instances)
        if all(size is None for size in sizes):
            return None
        tp, ep, pp, instances = (size or 1.0 for size in sizes)
        return Layout(tp, ep, pp, instances)


# What a table says in its own columns, row by row.
OF_RESULTS = (
    *("model", "hardware", "engine", "precision", "tp", "ep", "pp", "instances", "prefill_tp"),
    *("prefill_ep", "prefill_pp", "prefill_instances", "concurrency", "rate", "prompts"),
    *("isl", "osl"),
)


def refuse_for_tables(stated: Stated, path: str) -> None:
    """Refuse what a table's own columns say."""
    for name in OF_RESULTS:
        if getattr(stated, name):
            flag = "--" + name.replace("_", "-")
            raise InputError(
                f"{path}: is a table with a column for {name}; leave {flag} out, which is for the "
                "result file of one run."
            )


class _Changes(TypedDict, total=False):
    """Fields of a row that follow from what was stated."""

    hit_frac: float
    draft_tokens: float
    accept_frac: float
    excluded: str


def restated(row: ServingRow, stated: Stated) -> ServingRow:
    """A row with the prefix hits and the acceptance that were stated beside its file.

    Acceptance concerns runs that speculated, or that do not say. With it, such a run is predicted
    as it ran and is no longer set apart.
    """
    changes: _Changes = {}
    if stated.hit_frac is not None:
        changes["hit_frac"] = stated.hit_frac
    speculated = row.speculation != "none" or not row.speculation_known
    if stated.accept_frac is not None and speculated:
        drafts = stated.draft_tokens
        changes["draft_tokens"] = 1.0 if drafts is None else drafts
        changes["accept_frac"] = stated.accept_frac
        if row.excluded.startswith("speculative decoding"):
            changes["excluded"] = ""
    return replace(row, **changes) if changes else row


def hardware_of(said: str, stated: str) -> tuple[str, str]:
    """The accelerator of a run, and why the run is refused if file and caller disagree."""
    if not (said and stated):
        return stated or said, ""
    try:
        own, other = resolve_hardware(said), resolve_hardware(stated)
    except InputError:
        return stated, ""  # a name that only its publisher knows, or a file of the caller's
    if own == other:
        return stated, ""
    return said, f"measured on {said}, as its file says, and not on {stated} (--hardware)"
