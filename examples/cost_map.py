"""Where disaggregation, and unlike hardware for its phases, lower the cost of a token.

Unlike hardware is compared at equal cost (dollars a token) and at equal power (joules a token): at
the best of either, pools of any sizes that are paid, or fed, alike.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np

import jaxsim

ISL, OSL = (1024, 4096, 16384), (128, 512, 2048)
PREFILL_PRICES = (0.6, 1.0, 1.4)  # dollars an hour of an H100, beside an H200 at 1.59
CLAIM = (0.15, 0.40)  # how much lower the seeds of this project say that costs are
MODELS = ("llama-3.1-70b", "qwen3-30b-a3b")

h100, h200, b200 = (jaxsim.load_hardware(name) for name in ("h100", "h200", "b200"))
space = jaxsim.Space(
    tp=(1, 2, 4, 8), ep=(1, 4), pp=(1,), batch=(8, 32, 128, 512), prefill_batch=(1, 4),
    chunk=(2048, 8192),
)  # fmt: skip


def plan(model, isl, osl, prefill=None, objective="cost"):
    request = jaxsim.PlanRequest(
        jaxsim.Workload(isl, osl), ftl_s=0.3 + isl / 4000, ttl_s=0.05, objective=objective
    )
    return jaxsim.plan(model, h200, request, precision="fp8", space=space, prefill_hardware=prefill)


def usd(found):
    """Dollars per million output tokens; NaN where no design meets the targets."""
    return getattr(found, "cost_usd_per_million_output_tokens", np.nan)


def joules(found):
    """Joules per output token, by rated power; NaN where no design meets the targets."""
    return 1.0 / getattr(found, "output_tokens_per_joule", np.nan)


figure, panels = plt.subplots(1, 4, figsize=(15, 4.2), layout="constrained")
for panel, model in zip(panels, MODELS, strict=False):
    saved = np.empty((len(ISL), len(OSL)))
    for place in np.ndindex(saved.shape):
        found = plan(model, ISL[place[0]], OSL[place[1]])
        saved[place] = 1.0 - usd(found.disaggregated) / usd(found.colocated)
    panel.imshow(saved, cmap="RdBu", vmin=-0.6, vmax=0.6, origin="lower")
    panel.set_xticks(range(len(OSL)), OSL)
    panel.set(xlabel="OSL", title=f"{model}\nseparate pools on H200")
    inside = np.mean((saved >= CLAIM[0]) & (saved <= CLAIM[1]))
    print(f"{model}: {np.nanmin(saved):+.0%} to {np.nanmax(saved):+.0%}, {inside:.0%} in the claim")

saved = np.empty((len(ISL), len(PREFILL_PRICES)))
for row, isl in enumerate(ISL):
    alike = usd(plan(MODELS[0], isl, OSL[1]).disaggregated)
    for column, price in enumerate(PREFILL_PRICES):
        other = plan(MODELS[0], isl, OSL[1], jaxsim.with_price(h100, price))
        saved[row, column] = 1.0 - usd(other.disaggregated) / alike
panels[2].imshow(saved, cmap="RdBu", vmin=-0.6, vmax=0.6, origin="lower")
panels[2].set_xticks(range(len(PREFILL_PRICES)), [f"${p}" for p in PREFILL_PRICES])
panels[2].set(xlabel="an hour of an H100", title=f"{MODELS[0]}\nH100 prefills, H200 decodes")
by_power = np.empty((len(ISL), 2))
for row, isl in enumerate(ISL):
    alike = joules(plan(MODELS[0], isl, OSL[1], objective="power").disaggregated)
    for column, prefill in enumerate((h100, b200)):
        other = plan(MODELS[0], isl, OSL[1], prefill, objective="power")
        by_power[row, column] = 1.0 - joules(other.disaggregated) / alike
panels[3].imshow(by_power, cmap="RdBu", vmin=-0.6, vmax=0.6, origin="lower")
panels[3].set_xticks(range(2), ["H100", "B200"])
panels[3].set(xlabel="prefills", title=f"{MODELS[0]}\nat equal power, H200 decodes")
for panel in panels:
    panel.set_yticks(range(len(ISL)), ISL)
    panel.set_ylabel("ISL")
    for (row, column), value in np.ndenumerate(panel.images[0].get_array()):
        text = "none" if not np.isfinite(float(value)) else f"{value:+.0%}"
        panel.text(column, row, text, ha="center", va="center")
figure.colorbar(panels[0].images[0], ax=panels, label="cost, or energy, of an output token saved")
figure.suptitle(
    f"Claimed: {CLAIM[0]:.0%} to {CLAIM[1]:.0%} lower cost from separate pools, and from unlike "
    "hardware"
)
for what, found in (("cost", saved), ("power", by_power)):
    print(f"unlike hardware at equal {what}: {np.nanmin(found):+.0%} to {np.nanmax(found):+.0%}")
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "cost_map.png", dpi=100)
