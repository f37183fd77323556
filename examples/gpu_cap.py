"""What a cap on GPUs leaves of the matched frontier: DeepSeek-R1 at 16k/2k."""

import sys

import matplotlib.pyplot as plt

import jaxsim

workload = jaxsim.Workload(isl=16384, osl=2048)
space = jaxsim.Space(batch=[2**k for k in range(15)], chunk=(16384,), pp=(1, 4))
tree = jaxsim.evaluate("deepseek-r1", "gb200-nvl72", workload, space)

figure, panel = plt.subplots(figsize=(7, 4), layout="constrained")
for gpus in (None, 128, 64, 32):
    front = jaxsim.frontier(tree, ftl_s=10.0, max_gpus=gpus)["disaggregated"]
    label = "unlimited" if gpus is None else f"at most {gpus} GPUs"
    panel.step(1 / front.ttl_s, front.output_tokens_per_s_per_gpu, where="pre", label=label)
panel.set(xlabel="tokens/s/user", ylabel="tokens/s/GPU")
panel.legend()
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "gpu_cap.png")
