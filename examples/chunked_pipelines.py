"""How chunked pipelines cut the first-token latency of 256k-token prompts on 64 GPUs."""

import sys
from dataclasses import replace

import matplotlib.pyplot as plt

import jaxsim

STAGES = (1, 2, 4, 8, 16, 32)
workload = jaxsim.Workload(isl=262144, osl=2048)
model = replace(jaxsim.load_model("deepseek-r1"), max_context_tokens=2.0**20)  # scaled
space = jaxsim.Space(
    tp=[1], ep=[64 // s for s in STAGES], pp=STAGES, prefill_batch=[64 // s for s in STAGES],
    chunk=[2**k for k in range(10, 19)],
)  # fmt: skip
kept = jaxsim.Options(keep_up_projected=1.0, equal_time_chunks=1.0)

figure, panel = plt.subplots(figsize=(7, 4), layout="constrained")
for name, options in {"latents projected again": None, "K/V kept, equal time": kept}.items():
    tree = jaxsim.evaluate(
        model, "gb200-nvl72", workload, space, options=options, phases=("prefill",)
    )
    prefill = tree["prefill"]
    fastest = [
        float(
            prefill.ftl_s.where(prefill.valid)
            .sel(pp=stages, ep=64 // stages, batch=64 // stages)
            .min()
        )
        for stages in STAGES
    ]
    panel.loglog(STAGES, fastest, "o-", base=2, label=name)
panel.set(xlabel="pipeline stages (EP x PP = 64)", ylabel="FTL of the best chunk, s")
panel.legend()
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "chunked_pipelines.png")
