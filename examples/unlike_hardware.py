"""Where does other hardware for prefill lower the cost, or the energy, of a token?

Compared at equal cost (dollars a token) and at equal power (joules a token): at the best of either,
pools of any sizes that are paid, or fed, alike.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np

import jaxsim

ISL, OSL, MODEL = (1024, 4096, 16384), 512, "llama-3.1-70b"
PRICES = (0.6, 1.0, 1.4)  # dollars an hour of an H100, beside an H200 at 1.59

h100, h200, b200 = (jaxsim.load_hardware(name) for name in ("h100", "h200", "b200"))
space = jaxsim.Space(
    tp=(1, 2, 4, 8), ep=(1,), pp=(1,), batch=(8, 32, 128, 512), prefill_batch=(1, 4),
    chunk=(2048, 8192),
)  # fmt: skip


def tokens_per(objective, isl, prefill=None):
    """Output tokens a dollar, or a joule, of separate pools; NaN where none meets targets."""
    request = jaxsim.PlanRequest(
        jaxsim.Workload(isl, OSL), ftl_s=0.3 + isl / 4000, ttl_s=0.05, objective=objective
    )
    plan = jaxsim.plan(MODEL, h200, request, precision="fp8", space=space, prefill_hardware=prefill)
    deployed = plan.disaggregated
    if objective == "power":
        return getattr(deployed, "output_tokens_per_joule", np.nan)
    return 1e6 / getattr(deployed, "cost_usd_per_million_output_tokens", np.nan)


CHOICES = {
    "cost": {f"H100 at ${p}": jaxsim.with_price(h100, p) for p in PRICES},
    "power": {"H100": h100, "B200": b200},
}
figure, panels = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
for panel, (objective, others) in zip(panels, CHOICES.items(), strict=True):
    alike = np.array([[tokens_per(objective, isl)] for isl in ISL])
    unlike = np.array([[tokens_per(objective, isl, own) for own in others.values()] for isl in ISL])
    saved = 1.0 - alike / unlike
    print(f"at equal {objective}: {np.nanmin(saved):+.0%} to {np.nanmax(saved):+.0%}")
    panel.imshow(saved, cmap="RdBu", vmin=-0.6, vmax=0.6, origin="lower")
    panel.set_xticks(range(len(others)), others)
    panel.set_yticks(range(len(ISL)), ISL)
    panel.set(xlabel="prefills", ylabel="ISL", title=f"at equal {objective}")
    for (row, column), value in np.ndenumerate(saved):
        panel.text(column, row, f"{value:+.0%}", ha="center", va="center")
figure.colorbar(panels[0].images[0], ax=panels, label="cost, or energy, of an output token saved")
figure.suptitle(f"{MODEL}, OSL {OSL}: other hardware prefills, H200 decodes")
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "unlike_hardware.png", dpi=100)
