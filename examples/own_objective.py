"""A user's own objective, optimised by gradients: dollars and impatience of a decode instance."""

import sys

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import jaxsim

decode = jaxsim.design_point(
    "qwen3-32b", "h200", jaxsim.Workload(isl=4096, osl=512), phase="decode", precision="fp8"
)
TP, IMPATIENCE_USD_PER_S2 = 4.0, 8e-3


def cost(log_batch):
    """Dollars per thousand output tokens, and a penalty on the square of the gap between them."""
    found = decode(tp=TP, batch=jnp.exp(log_batch))
    usd_per_s = TP * decode.scenario.hardware.price_usd_per_hour / 3600.0
    dollars = 1000.0 * usd_per_s / found["output_tokens_per_s"]
    return dollars + IMPATIENCE_USD_PER_S2 * (1000.0 * found["ttl_s"]) ** 2 / 1000.0


slopes = jax.jit(jax.vmap(jax.value_and_grad(cost)))
starts = jnp.log(jnp.asarray([4.0, 32.0, 256.0]))
paths, costs = [starts], []
for _ in range(60):
    own, gradient = slopes(paths[-1])
    costs.append(own)
    paths.append(jnp.clip(paths[-1] - 0.15 * jnp.sign(gradient) * 0.95 ** len(paths), 0.0, 7.0))
ends = np.exp(np.asarray(paths.pop()))

batches = np.geomspace(1, 1024, 120)
threes = jnp.log(jnp.asarray(batches)).reshape(-1, len(starts))  # what is compiled takes three
values = np.concatenate([np.asarray(slopes(some)[0]) for some in threes])
best = batches[values.argmin()]
print(f"best of 120 batches: {best:.0f}; gradients end at {', '.join(f'{b:.0f}' for b in ends)}")

figure, panel = plt.subplots(figsize=(6, 4), layout="constrained")
panel.loglog(batches, values)
for walked, own in zip(np.exp(np.asarray(paths)).T, np.asarray(costs).T, strict=True):
    panel.plot(walked, own, "o-", ms=3, lw=0.5)
    panel.annotate("start", (walked[0], own[0]))
panel.set(
    xlabel="batch of a decode instance", ylabel="own objective", title="qwen3-32b, H200, TP 4"
)
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "own_objective.png", dpi=100)
