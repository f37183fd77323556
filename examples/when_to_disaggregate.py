"""The gain of disaggregation over prompt and answer length: Llama-3.1 70B at 40 tokens/s/user."""

import sys

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import jaxsim

isl, osl, ttl_s = 2.0 ** np.arange(9, 18, 2), 2.0 ** np.arange(6, 14), 0.025
space = jaxsim.Space(batch=[2**k for k in range(13)], chunk=(256, 2048), pp=(1, 4))
workload = jaxsim.Workload(isl=jnp.asarray(isl), osl=jnp.asarray(osl))
tree = jaxsim.evaluate("llama-3.1-70b", "gb200-nvl72", workload, space)

gain = np.full((len(isl), len(osl)), np.nan)
for i, prompt in enumerate(isl):
    for j, answer in enumerate(osl):
        one = tree.map_over_datasets(
            lambda node, at: node.sel({n: [v] for n, v in at.items() if n in node.dims}),
            {"isl": prompt, "osl": answer},
        )
        fronts = jaxsim.frontier(one, ftl_s=10.0)
        best = {
            name: front.output_tokens_per_s_per_gpu.where(front.ttl_s <= ttl_s).max()
            for name, front in fronts.children.items()
        }
        gain[i, j] = best["disaggregated"] / best["colocated"]

figure, panel = plt.subplots(figsize=(6, 4.5), layout="constrained")
drawn = panel.pcolormesh(np.log2(osl), np.log2(isl), gain, shading="nearest", cmap="Blues")
panel.contour(np.log2(osl), np.log2(isl), np.nan_to_num(gain), levels=[1.05], colors="black")
panel.set(xlabel="log2 OSL", ylabel="log2 ISL")
figure.colorbar(drawn, label="gain over co-located")
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "when_to_disaggregate.png")
