"""What does a fixed ratio of pools lose over a day, and what do matching and elasticity win?

Give the picture's name and the path of a ServeGen folder or archive of a day, such as its clients
of DeepSeek-R1; without one, a short day is drawn whose load and lengths drift as those did.
"""

import sys

import matplotlib.pyplot as plt

import jaxsim

picture = sys.argv[1] if len(sys.argv) > 1 else "day_of_traffic.png"
if len(sys.argv) > 2:
    requests = jaxsim.read_trace(sys.argv[2], seed=0)
else:
    requests = jaxsim.load_of(
        requests_per_s=12.0,
        duration_s=300.0,
        isl="lognormal:4000:0.6",
        osl="lognormal:150:0.6",
        peak_over_mean=1.9,
        period_s=300.0,
        drift=(0.1, 4.0),
    ).drawn(0)

found = jaxsim.simulate(
    "llama-3.1-8b",
    "h100",
    requests,
    ftl_s=2.0,
    ttl_s=0.03,
    pools=jaxsim.Pools(prefill={"tp": 1, "instances": 2}, decode={"tp": 1, "instances": 2}),
    policies=("static", "matched", "elastic"),
    interval_s=20.0,
    startup_s=20.0,
    convert_s=5.0,
    engine="vllm",
)
table = found.table
print(table[["attainment", "ttft_p95_s", "tpot_p95_s", "gpu_seconds"]].to_dataframe().to_string())

names = [str(name) for name in table.policy.values]
panels = {
    "requests within both targets, %": 100.0 * table.attainment,
    "GPU-hours": table.gpu_seconds / 3600.0,
    "good output tokens/s/GPU": table.good_tokens_per_gpu_s,
}
figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
for axis, (title, values) in zip(axes, panels.items(), strict=True):
    bars = axis.bar(names, values.values, color=["C0", "C1", "C2"])
    axis.bar_label(bars, fmt="%.3g")
    axis.set_title(title, fontsize=10)
figure.suptitle(f"{requests.name}: {len(requests):,} requests", fontsize=10)
figure.savefig(picture, dpi=120)
