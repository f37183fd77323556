"""How is a plan shown beside another tool's designs?"""

from typing import TypedDict

from jaxsim.view.text.layout import Page, wrap
from jaxsim.view.text.tables import table
from jaxsim.view.text.units import plain, seconds

WORDS = {
    "ttft": "first-token latency",
    "tpot": "token-to-token latency",
    "output_tokens_per_s_per_gpu": "output tokens/s/GPU",
}


class Lengths(TypedDict):
    """Tokens of a request."""

    isl: int
    osl: int


class Targets(TypedDict):
    """Latencies that a design must meet."""

    ftl_s: float
    ttl_s: float


class Compared(TypedDict):
    """One design of one kind, and what `by` predicts for it."""

    kind: str
    by: str
    found_by: str
    design: str
    engine: str
    gpus: float
    ttft_s: float
    tpot_s: float
    output_tokens_per_s_per_gpu: float


class ComparisonFile(TypedDict):
    """What `jaxsim compare --format json` prints."""

    schema: str
    model: str
    workload: Lengths
    targets: Targets
    entries: list[Compared]
    designs: int
    within_targets: dict[str, int]
    median_difference: dict[str, float]
    left_out: dict[str, int]


def render_compare(result: ComparisonFile, page: Page) -> str:
    """One table, kind by kind, and how far apart the two tools are on all designs."""
    rows = [["", "design of", "predicted by", "GPUs", "FTL", "TTL", "tokens/s/GPU"]]
    kind, lengths, targets = "", result["workload"], result["targets"]
    for entry in result["entries"]:
        rows.append([entry["kind"] if entry["kind"] != kind else "", *_cells(entry)])
        kind = entry["kind"]
    head = (
        f"{result['model']}, {lengths['isl']} input and {lengths['osl']} output tokens, FTL at "
        f"most {seconds(targets['ftl_s'])}, TTL at most {seconds(targets['ttl_s'])}. Both tools "
        "predict; nothing here was measured."
    )
    lines = [*wrap(head, page), "", *table(rows, page, (0, 1, 2), by=0), ""]
    for entry in result["entries"]:
        if entry["by"] == entry["found_by"]:
            lines += wrap(
                f"{entry['found_by']}, {entry['kind']}: {entry['design']}; {entry['engine']}.", page
            )
    for own, count in result["within_targets"].items():
        if not count:
            lines += wrap(f"Of AIConfigurator's {own} designs none meets the targets.", page)
    differences = [
        f"{WORDS[name]} {100.0 * value:.0f} %"
        for name, value in result["median_difference"].items()
    ]
    lines += wrap(
        f"On all {result['designs']} designs of the files the two differ, in the median, by: "
        f"{'; '.join(differences)}.",
        page,
    )
    lines += wrap(
        "Their tokens/s are from their requests/s. Their first-token latency is of a prompt that "
        "does not wait; ours has the host's part and the queue.",
        page,
    )
    lines += [f"Left out: {n}, {why}." for why, n in result["left_out"].items()]
    return page.finish(lines)


def _cells(entry: Compared) -> list[str]:
    return [
        entry["found_by"],
        entry["by"],
        f"{entry['gpus']:g}",
        seconds(entry["ttft_s"]),
        seconds(entry["tpot_s"]),
        plain(entry["output_tokens_per_s_per_gpu"]),
    ]
