"""KV cache that leaves a prefill GPU, against prompt length, and what a network card carries."""

import sys
from dataclasses import replace

import jax.numpy as jnp
import matplotlib.pyplot as plt

import jaxsim

lengths = 2.0 ** jnp.arange(10, 21)
workload = jaxsim.Workload(isl=lengths, osl=2048)
mapping = jaxsim.Space(tp=[4], ep=[1], pp=[1], prefill_batch=[4], chunk=[16384])

figure, panel = plt.subplots(figsize=(7, 4), layout="constrained")
for name in ("deepseek-r1", "llama-3.1-70b"):
    model = replace(jaxsim.load_model(name), max_context_tokens=2.0**21)  # scaled beyond its own
    tree = jaxsim.evaluate(model, "gb200-nvl72", workload, mapping, phases=("prefill",))
    egress = tree["prefill"].kv_egress_bytes_per_s_per_gpu.squeeze()
    panel.loglog(egress.isl, egress / 1e9, "o-", label=name)
panel.axhline(tree.attrs["scaleout_bytes_per_s"] / 1e9, color="black", ls=":", label="network")
panel.set(xlabel="prompt tokens", ylabel="KV egress, GB/s per GPU")
panel.legend()
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "kv_transfer.png")
