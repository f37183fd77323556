"""An NVLink domain of 8 GPUs against one of 72: DeepSeek-R1 at 16k/2k."""

import dataclasses
import sys

import matplotlib.pyplot as plt

import jaxsim

workload = jaxsim.Workload(isl=16384, osl=2048)
space = jaxsim.Space(batch=[2**k for k in range(15)], chunk=(16384,), pp=(1, 4))
card = jaxsim.load_hardware("gb200-nvl72")

figure, panel = plt.subplots(figsize=(7, 4), layout="constrained")
for gpus in (72, 8):
    hardware = dataclasses.replace(card.hardware, domain_gpus=float(gpus))
    smaller = dataclasses.replace(card, hardware=hardware)
    tree = jaxsim.evaluate("deepseek-r1", smaller, workload, space)
    front = jaxsim.frontier(tree, ftl_s=10.0)["disaggregated"]
    label = f"domain of {gpus}"
    panel.step(1 / front.ttl_s, front.output_tokens_per_s_per_gpu, where="pre", label=label)
panel.set(xlabel="tokens/s/user", ylabel="tokens/s/GPU")
panel.legend()
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "nvlink_domain.png")
