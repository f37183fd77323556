"""How is a plan shown beside another tool's designs?"""

from typing import Any

from jaxsim.view.text.layout import Page, table, wrap
from jaxsim.view.text.units import plain, seconds

WORDS = {
    "ttft": "first-token latency",
    "tpot": "token-to-token latency",
    "output_tokens_per_s_per_gpu": "output tokens/s/GPU",
}


def render_compare(found: dict[str, Any], page: Page) -> str:
    """One table, kind by kind, and how far apart the two tools are on all designs."""
    rows = [["", "design of", "predicted by", "GPUs", "FTL", "TTL", "tokens/s/GPU"]]
    kind, lengths, targets = "", found["workload"], found["targets"]
    for entry in found["entries"]:
        rows.append([entry["kind"] if entry["kind"] != kind else "", *_cells(entry)])
        kind = entry["kind"]
    head = (
        f"{found['model']}, {lengths['isl']} input and {lengths['osl']} output tokens, FTL at most "
        f"{seconds(targets['ftl_s'])}, TTL at most {seconds(targets['ttl_s'])}. Both tools "
        "predict; nothing here was measured."
    )
    lines = [*wrap(head, page), "", *table(rows, left=(0, 1, 2)), ""]
    for entry in found["entries"]:
        if entry["by"] == entry["found_by"]:
            lines += wrap(
                f"{entry['found_by']}, {entry['kind']}: {entry['design']}; {entry['engine']}.", page
            )
    for own, count in found["within_targets"].items():
        if not count:
            lines += wrap(f"Of AIConfigurator's {own} designs none meets the targets.", page)
    apart = [
        f"{WORDS[name]} {100.0 * value:.0f} %" for name, value in found["median_difference"].items()
    ]
    lines += wrap(
        f"On all {found['designs']} designs of the files the two differ, in the median, by: "
        f"{'; '.join(apart)}.",
        page,
    )
    lines += wrap(
        "Their tokens/s are from their requests/s. Their first-token latency is of a prompt that "
        "does not wait; ours has the host's part and the queue.",
        page,
    )
    lines += [f"Left out: {n}, {why}." for why, n in found["left_out"].items()]
    return page.finish(lines)


def _cells(entry: dict[str, Any]) -> list[str]:
    return [
        entry["found_by"],
        entry["by"],
        f"{entry['gpus']:g}",
        seconds(entry["ttft_s"]),
        seconds(entry["tpot_s"]),
        plain(entry["output_tokens_per_s_per_gpu"]),
    ]
