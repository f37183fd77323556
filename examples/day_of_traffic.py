"""What does a fixed ratio of pools lose over a day, and how slowly may they follow the traffic?

Static pools, the same GPUs divided anew by exact matching, and elastic pools with the first ratio
and with a matched one, which decide ever more seldom. Give the picture's name and the path of a
trace, such as a ServeGen folder or archive of a day; without one, a short day is drawn whose load
and lengths drift.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np

import jaxsim

picture = sys.argv[1] if len(sys.argv) > 1 else "day_of_traffic.png"
if len(sys.argv) > 2:
    requests = jaxsim.read_trace(sys.argv[2], seed=0)
else:
    requests = jaxsim.load_of(
        requests_per_s=19.0, duration_s=300.0, isl="lognormal:4000:0.6", osl="lognormal:150:0.6",
        peak_over_mean=1.9, period_s=300.0, drift=(0.1, 4.0),
    ).drawn(0)  # fmt: skip

pools = jaxsim.Pools(prefill={"tp": 1, "instances": 3}, decode={"tp": 1, "instances": 1})
intervals_s = (10.0, 30.0, 100.0)
policies = ("static", "matched", "fixed-ratio", "elastic")
tables = {
    interval_s: jaxsim.simulate(
        "llama-3.1-8b", "h100", requests, ftl_s=2.0, ttl_s=0.03, pools=pools, policies=policies,
        interval_s=interval_s, startup_s=10.0, convert_s=5.0, engine="vllm", most_sequences=63,
    ).table
    for interval_s in intervals_s
}  # fmt: skip
quickest = tables[intervals_s[0]]
shown = ["attainment", "ttft_p95_s", "tpot_p95_s", "gpu_seconds"]
print(quickest[shown].to_dataframe().to_string())

figure, (load, speed) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
edges = np.linspace(0.0, requests.duration_s, 25)
place = np.minimum(np.searchsorted(edges, requests.arrival_s, side="right") - 1, 23)
count = np.maximum(np.bincount(place, minlength=24), 1)
ratio = np.bincount(place, requests.isl, 24) / np.maximum(np.bincount(place, requests.osl, 24), 1)
load.stairs(count / np.diff(edges), edges, color="C0")
load.set(xlabel="time, s", ylabel="requests/s", title="the traffic", ylim=(0, None))
other = load.twinx()
other.stairs(ratio, edges, color="C1")
other.set(ylabel="ISL / OSL (orange)", ylim=(0, None))
for name, line in zip(policies, ("o-", "o-", "s-", "o:"), strict=True):
    rates = [100.0 * float(table.attainment.sel(policy=name)) for table in tables.values()]
    speed.plot(intervals_s, rates, line, label=name)
speed.set(xscale="log", xlabel="s between decisions", title="how slowly may they follow?")
speed.set(ylabel="requests within both targets, %", ylim=(0, 103))
speed.legend(fontsize=8)
figure.suptitle(f"{requests.name}: {len(requests):,} requests", fontsize=10)
figure.savefig(picture, dpi=120)
