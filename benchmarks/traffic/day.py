"""What do fixed pools lose over a day of DeepSeek-R1 traffic and on four traces?

    python -m benchmarks.traffic.day TRACES [--json FILE] [--picture FILE] [--engine NAME]

TRACES is a folder with ServeGen's archive of R1 and the traces of Azure and Mooncake. Prints the
tables of `README.md` beside this file, each row when it is known. Pools have as many instances as
the mean load needs at 75 % of what one bears, as `jaxsim.plan` says for the shapes below.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import jaxsim
from jaxsim.api.simulate import pools_from_plan
from jaxsim.space.deploy.result import Deployed

HOUR_S = 3600.0
DAY = "servegen_deepseek_r1.tar.xz"
# Policy, seconds between decisions, and times as many instances at first.
ROWS: tuple[tuple[str, float, float], ...] = (
    ("static", 0.0, 1.0), ("static", 0.0, 1.8), ("matched", 300.0, 1.0), ("matched", 3600.0, 1.0),
    ("fixed-ratio", 300.0, 1.0), ("elastic", 60.0, 1.0), ("elastic", 300.0, 1.0),
    ("elastic", 1800.0, 1.0), ("elastic", 7200.0, 1.0),
)  # fmt: skip
TRACES = (
    ("AzureLLMInferenceTrace_conv.csv", 2.0), ("AzureLLMInferenceTrace_code.csv", 2.0),
    ("mooncake_fast25_conversation_trace.jsonl", 10.0),
    ("mooncake_fast25_synthetic_trace.jsonl", 10.0),
)  # fmt: skip
COLUMNS: tuple[tuple[str, float, str], ...] = (
    ("attainment", 100.0, "{:.0f} %"), ("gpu_seconds", 1.0 / HOUR_S, "{:,.0f} h"),
    ("good_tokens_per_gpu_s", 1.0, "{:.0f}"), ("ttft_p95_s", 1.0, "{:.1f} s"),
    ("tpot_p95_s", 1e3, "{:.0f} ms"), ("usd", 1.0, "{:,.0f} $"), ("joules", 1e-9, "{:.1f} GJ"),
)  # fmt: skip


def pools_of(case: dict[str, Any], requests, tp: float, most: int) -> jaxsim.Pools:
    """Instances of `tp` GPUs for the mean load, as many as it needs."""
    batches = tuple(x for x in (1, 2, 4, 8, 16, 32, 64, 96, most) if x <= most)
    planned = jaxsim.plan(
        case["model"], case["hardware"],
        jaxsim.Workload(isl=round(requests.isl.mean()), osl=round(requests.osl.mean())),
        ftl_s=case["ftl_s"], ttl_s=case["ttl_s"], engine=case["engine"],
        space=jaxsim.Space(
            tp=(tp,), ep=(1,), pp=(1,), batch=batches, chunk=(2048,),
            prefill_batch=(1,), prefill_chunk=(2048,),
        ),
    )  # fmt: skip
    if not isinstance(planned.disaggregated, Deployed):
        raise SystemExit(f"no pair of pools of {tp:g} GPUs meets the targets at the mean lengths")
    return pools_from_plan(planned.disaggregated, requests, 0.75)


def larger(pools: jaxsim.Pools, factor: float) -> jaxsim.Pools:
    """Pools with `factor` times as many instances."""
    return replace(
        pools,
        **{
            name: {**pool, "instances": round(factor * pool["instances"])}
            for name in ("prefill", "decode")
            if (pool := getattr(pools, name))
        },
    )


def row_of(case, requests, pools, policy: str, interval_s: float, **more) -> dict[str, Any]:
    """Measures of one policy on one trace, and what the run took."""
    begun = time.process_time()
    table = jaxsim.simulate(
        case["model"], case["hardware"], requests, ftl_s=case["ftl_s"], ttl_s=case["ttl_s"],
        engine=case["engine"], pools=pools, policies=(policy,), interval_s=interval_s or None,
        chunk=2048.0, **more,
    ).table.sel(policy=policy)  # fmt: skip
    shape = "+".join(
        f"{pool['instances']:g}" for pool in (pools.prefill, pools.decode) if pool is not None
    )
    row = {
        "trace": requests.name, "requests": len(requests), "policy": policy, "instances": shape,
        "interval_s": interval_s, "processor_s": time.process_time() - begun,
        **{name: float(table[name]) for name, _, _ in COLUMNS},
    }  # fmt: skip
    told = " | ".join(text.format(row[name] * unit) for name, unit, text in COLUMNS)
    every = f"{interval_s:g} s" if interval_s else "-"
    print(f"| {policy} ({shape}) | {every} | {told} | {row['processor_s']:.0f} s |", flush=True)
    return row


def draw(requests, rows: list[dict[str, Any]], picture: Path) -> None:
    """The day's load and lengths, what each policy costs, and how slowly pools may follow."""
    import matplotlib.pyplot as plt
    import numpy as np

    figure, (load, cost, slow) = plt.subplots(1, 3, figsize=(12, 3.4), layout="constrained")
    hours = np.minimum((requests.arrival_s // HOUR_S).astype(int), 23)
    count = np.maximum(np.bincount(hours, minlength=24), 1)
    ratio = np.bincount(hours, requests.isl, 24) / np.bincount(hours, requests.osl, 24)
    load.stairs(count / HOUR_S, range(25), color="C0")
    load.set(xlabel="hour of the day", ylabel="requests/s", ylim=(0, None))
    load.set_title("DeepSeek-R1 traffic of one day")
    other = load.twinx()
    other.stairs(ratio, range(25), color="C1")
    other.set(ylabel="ISL / OSL (orange)", ylim=(0, None))
    bars = {
        "static": "static,\nmean",
        "matched": "matched,\nmean",
        "fixed-ratio": "elastic,\nfirst ratio",
        "elastic": "elastic,\nmatched",
    }
    shown = [row for row in rows if row["interval_s"] in (0.0, 300.0)]
    names = [bars[row["policy"]] for row in shown]
    names[1] = "static,\npeak"
    drawn = cost.bar(
        names,
        [row["gpu_seconds"] / HOUR_S for row in shown],
        color=[f"C{k}" for k in range(len(shown))],
    )
    cost.bar_label(drawn, [f"{100.0 * row['attainment']:.0f} %" for row in shown])
    cost.margins(y=0.12)
    cost.set(ylabel="GPU-hours", title="cost, and requests within both targets")
    cost.tick_params(axis="x", labelsize=8)
    for name, colour in (("matched", "C2"), ("elastic", "C4")):
        own = [row for row in rows if row["policy"] == name]
        minutes = [row["interval_s"] / 60.0 for row in own]
        slow.plot(
            minutes, [100.0 * row["attainment"] for row in own], "o-", color=colour, label=name
        )
    slow.axhline(100.0 * rows[0]["attainment"], color="C0", label="static, mean")
    slow.set(xscale="log", xlabel="minutes between decisions", ylabel="within both targets, %")
    slow.set(ylim=(0, 100), title="how slowly may pools follow?")
    slow.legend(fontsize=8)
    figure.savefig(picture, dpi=100)


def main() -> None:
    """Both tables, as Markdown, and the rows as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("traces", type=Path)
    parser.add_argument("--engine", default="sglang")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path)
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    case: dict[str, Any] = {
        "model": "deepseek-r1", "hardware": "h200", "engine": args.engine, "ftl_s": 2.0,
        "ttl_s": 0.035,
    }  # fmt: skip
    requests = jaxsim.read_trace(args.traces / DAY, seed=0)
    pools = pools_of(case, requests, 8.0, 127)
    for policy, interval_s, factor in ROWS:
        own = larger(pools, factor)
        rows.append(row_of(case, requests, own, policy, interval_s, most_sequences=127))
    if args.picture:
        draw(requests, rows, args.picture)
    for name, ftl_s in TRACES:
        case = {
            "model": "llama-3.1-70b", "hardware": "h100", "engine": "vllm", "ftl_s": ftl_s,
            "ttl_s": 0.04,
        }  # fmt: skip
        requests = jaxsim.read_trace(args.traces / name)
        pools = pools_of(case, requests, 4.0, 63)
        print(f"{name}: {requests.requests_per_s:.1f} requests/s", flush=True)
        for policy, interval_s in (
            ("static", 0.0), ("matched", 60.0), ("fixed-ratio", 60.0), ("elastic", 60.0),
            ("elastic", 600.0),
        ):  # fmt: skip
            more = {"startup_s": 60.0, "most_sequences": 63}
            rows.append(row_of(case, requests, pools, policy, interval_s, **more))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
