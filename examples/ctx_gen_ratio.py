"""The best ratio of prefill to decode GPUs against interactivity, for four models at 16k/2k."""

import sys

import matplotlib.pyplot as plt

import jaxsim

workload = jaxsim.Workload(isl=16384, osl=2048)
space = jaxsim.Space(batch=[2**k for k in range(15)], chunk=(16384,), pp=(1, 2, 4))

figure, panel = plt.subplots(figsize=(7, 4), layout="constrained")
for model in ("deepseek-r1", "llama-3.1-405b", "llama-3.1-70b", "llama-3.1-8b"):
    tree = jaxsim.evaluate(model, "gb200-nvl72", workload, space)
    front = jaxsim.frontier(tree, ftl_s=10.0)["disaggregated"]
    panel.semilogy(1 / front.ttl_s, front.ctx_gen_ratio, label=model)
panel.set(xlabel="tokens/s/user", ylabel="prefill GPUs / decode GPUs")
panel.legend()
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "ctx_gen_ratio.png")
