"""Disaggregated and co-located frontiers of DeepSeek-R1 under three kinds of traffic."""

import sys

import matplotlib.pyplot as plt

import jaxsim

TRAFFIC = ((16384, 2048), (2048, 2048), (2048, 16384))
space = jaxsim.Space(batch=[2**k for k in range(14)], chunk=(256, 2048, 16384), pp=(1, 4))

figure, axes = plt.subplots(1, len(TRAFFIC), figsize=(12, 4), layout="constrained")
for panel, (isl, osl) in zip(axes, TRAFFIC, strict=True):
    workload = jaxsim.Workload(isl=isl, osl=osl)
    tree = jaxsim.evaluate("deepseek-r1", "gb200-nvl72", workload, space)
    for name, front in jaxsim.frontier(tree, ftl_s=10.0).children.items():
        panel.step(1 / front.ttl_s, front.output_tokens_per_s_per_gpu, where="pre", label=name)
    panel.set(title=f"{isl}/{osl}", xlabel="tokens/s/user", ylabel="tokens/s/GPU")
axes[0].legend()
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "frontiers.png")
