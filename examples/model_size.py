"""What disaggregation gains by model size: Llama-3.1 at 4096/256."""

import sys

import matplotlib.pyplot as plt
import numpy as np

import jaxsim

space = jaxsim.Space(batch=[2**k for k in range(12)], chunk=(256, 1024, 4096), pp=(1, 2, 4))
workload = jaxsim.Workload(isl=4096, osl=256)


def throughput(front, ttl_s):
    """Best throughput at each TTL target; NaN where nothing meets it."""
    order = np.argsort(front.ttl_s.values)
    best = np.append(front.output_tokens_per_s_per_gpu.values[order], np.nan)
    return best[np.searchsorted(front.ttl_s.values[order], ttl_s, side="right") - 1]


figure, panel = plt.subplots(figsize=(7, 4), layout="constrained")
interactivity = np.linspace(10, 200, 96)
for size in ("8b", "70b", "405b"):
    tree = jaxsim.evaluate(f"llama-3.1-{size}", "gb200-nvl72", workload, space)
    fronts = jaxsim.frontier(tree, ftl_s=10.0)
    apart = throughput(fronts["disaggregated"], 1 / interactivity)
    together = throughput(fronts["colocated"], 1 / interactivity)
    panel.plot(interactivity, apart / together, label=size.upper())
panel.set(xlabel="tokens/s/user", ylabel="gain over co-located", ylim=(0.9, 6))
panel.legend()
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "model_size.png")
