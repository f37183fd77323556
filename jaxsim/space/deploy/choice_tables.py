"""What is known of the designs that a report holds?  Tables of them, and intervals."""

import numpy as np

from jaxsim.quantities import MODES, PARTS
from jaxsim.space.deploy.select import MEMORY
from jaxsim.space.deploy.sweep import Swept
from jaxsim.space.deploy.uncertainty import interval, sources_of, spread_from
from jaxsim.space.designs import Designs

FLOWS = {"prefill": "kv_egress_bytes_per_s_per_gpu", "decode": "kv_ingress_bytes_per_s_per_gpu"}
SIZES = tuple(name for name in MEMORY if name != "capacity_bytes")
# Outputs that a co-located design has in each of its modes.
BY_MODE = frozenset(
    {f"{part}_s" for part in PARTS} | {"ttl_s", "ttl_median_s", "output_tokens_per_s_per_gpu"}
)


def numbered(
    rows: dict[str, np.ndarray], swept: Swept, alone: Swept
) -> dict[str, dict[str, np.ndarray]]:
    """Tables of the designs that rows name; `first` and `second` of the rows point into them."""
    tables = {}
    disaggregated = rows.get("kind", np.zeros(0)) == 0
    rows["first"], rows["second"] = (np.full(len(disaggregated), -1.0) for _ in range(2))
    for phase, kept, own, column, to in (
        ("prefill", disaggregated, swept, "design", "first"),
        ("decode", disaggregated, swept, "other", "second"),
        ("colocated", ~disaggregated, alone, "design", "first"),
    ):
        if not len(kept):
            continue
        # A co-located design is one in each of its modes.
        key = np.stack([rows[column][kept], rows["mode"][kept]], axis=1).reshape(-1, 2)
        unique, back = np.unique(key, axis=0, return_inverse=True)
        rows[to][kept] = back.ravel()
        tables[phase] = _table(own, phase, unique[:, 0].astype(int), unique[:, 1])
    for name in ("design", "other"):
        rows.pop(name, None)
    return tables


def _table(swept: Swept, phase: str, index: np.ndarray, mode: np.ndarray) -> dict[str, np.ndarray]:
    """What is known of some designs: axes, rates, parts of the time, memory."""
    designs: Designs = getattr(swept, phase)

    def column(name: str) -> np.ndarray:
        if designs.phase != "colocated" or name not in BY_MODE:
            return np.asarray(designs.flat(name)[index], float)
        each = [designs.flat(f"{one}_{name}")[index] for one in MODES]
        return np.where(mode == 1, each[1], each[0]).astype(float)

    axes = designs.columns(index)
    table = {n: v.astype(float) for n, v in axes.items() if n not in ("isl", "osl")}
    table["gpus"] = column("gpus")
    if designs.phase == "colocated":
        table["mode"] = mode
        table["latency_s"], table["ttl_median_s"] = column("ttl_s"), column("ttl_median_s")
        table["rate_tokens_per_s"] = column("output_tokens_per_s_per_gpu") * table["gpus"]
    else:
        table["latency_s"] = column("ftl_s" if designs.phase == "prefill" else "ttl_s")
        table["requests_per_s"] = column("requests_per_s")
        table["flow_bytes_per_s"] = _flows(swept, phase, index)
    for part in PARTS:
        table[f"{part}_s"] = column(f"{part}_s")
    for size in SIZES:
        table[size] = column(size)
    return table


def _flows(swept: Swept, phase: str, index: np.ndarray) -> np.ndarray:
    """Bytes/s of caches that a GPU of designs sends or receives at full rate.

    Of a mix, from the flow of its first workload: as many GPUs hold distinct cache, and the mean
    request has other bytes and another rate.
    """
    one = swept.each[0]
    alone: Designs = getattr(one, phase)
    flow = np.asarray(alone.flat(FLOWS[phase])[index], float)
    if len(swept.each) == 1:
        return flow
    rates = [d.flat("requests_per_s")[index] for d in (getattr(swept, phase), alone)]
    sizes = [d.flat("kv_prompt_bytes")[0] for d in (swept.prefill, one.prefill)]
    return flow * (rates[0] / rates[1]) * (sizes[0] / sizes[1])


def add_intervals(
    rows: dict[str, np.ndarray],
    designs: dict[str, dict[str, np.ndarray]],
    swept: Swept,
    alone: Swept,
):
    """The 80 % interval of `y` of every row, as a plan has it for its own."""
    setups = {**swept.setups, "colocated": alone.setup}
    spreads = {}
    for phase, table in designs.items():
        sources = sources_of(phase, setups[phase])
        size = len(table["gpus"])
        spreads[phase] = [
            spread_from({part: float(table[f"{part}_s"][k]) for part in PARTS}, sources)
            for k in range(size)
        ]
    ends = []
    for k, y in enumerate(rows.get("y", ())):
        first = int(rows["first"][k])
        if rows["kind"][k]:
            ends.append(interval(float(y), spreads["colocated"][first]))
            continue
        second = int(rows["second"][k])
        gpus = rows["first_count"][k] * designs["prefill"]["gpus"][first]
        share = float(gpus / rows["gpus"][k])
        both = spreads["prefill"][first].times(share)
        both = both.plus(spreads["decode"][second].times(1.0 - share))
        ends.append(interval(float(y), both))
    rows["low"], rows["high"] = np.array(ends, float).reshape(-1, 2).T
