"""Where do separate pools for prefill and decode lower the cost of a token?

One map a model, over lengths of prompts and outputs; the claim beside it is that of the study's
sources.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np

import jaxsim

ISL, OSL = (1024, 4096, 16384), (128, 512, 2048)
CLAIM = (0.15, 0.40)  # how much lower costs are claimed to be
MODELS = ("llama-3.1-70b", "qwen3-30b-a3b")

space = jaxsim.Space(
    tp=(1, 2, 4, 8), ep=(1, 4), pp=(1,), batch=(8, 32, 128, 512), prefill_batch=(1, 4),
    chunk=(2048, 8192),
)  # fmt: skip


def usd(deployed):
    """Dollars per million output tokens; NaN where no design meets the targets."""
    return getattr(deployed, "cost_usd_per_million_output_tokens", np.nan)


figure, panels = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
for panel, model in zip(panels, MODELS, strict=True):
    saved = np.empty((len(ISL), len(OSL)))
    for row, column in np.ndindex(saved.shape):
        isl, osl = ISL[row], OSL[column]
        plan = jaxsim.plan(
            model, "h200", jaxsim.Workload(isl, osl), ftl_s=0.3 + isl / 4000, ttl_s=0.05,
            objective="cost", precision="fp8", space=space,
        )  # fmt: skip
        saved[row, column] = 1.0 - usd(plan.disaggregated) / usd(plan.colocated)
    inside = np.mean((saved >= CLAIM[0]) & (saved <= CLAIM[1]))
    print(f"{model}: {np.nanmin(saved):+.0%} to {np.nanmax(saved):+.0%}, {inside:.0%} in the claim")
    panel.imshow(saved, cmap="RdBu", vmin=-0.6, vmax=0.6, origin="lower")
    panel.set_xticks(range(len(OSL)), OSL)
    panel.set_yticks(range(len(ISL)), ISL)
    panel.set(xlabel="OSL", ylabel="ISL", title=model)
    for (row, column), value in np.ndenumerate(saved):
        text = f"{value:+.0%}" if np.isfinite(value) else "none"
        panel.text(column, row, text, ha="center", va="center")
figure.colorbar(panels[0].images[0], ax=panels, label="cost of an output token saved")
figure.suptitle(f"Separate pools on H200 (claimed: {CLAIM[0]:.0%} to {CLAIM[1]:.0%})")
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "cost_map.png", dpi=100)
