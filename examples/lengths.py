"""One constant length against a spread of lengths: decode of Llama-3.1 70B around 4096/512."""

import sys

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import jaxsim

isl, osl = 4096 * 2.0 ** np.arange(-2, 3), 512 * 2.0 ** np.arange(-2, 3)
weights = np.array([1, 4, 6, 4, 1]) / 16  # binomial in powers of two, about the median
space = jaxsim.Space(tp=[8], pp=[1], batch=[2**k for k in range(10)])
workload = jaxsim.Workload(isl=jnp.asarray(isl), osl=jnp.asarray(osl))
tree = jaxsim.evaluate("llama-3.1-70b", "gb200-nvl72", workload, space, phases=("decode",))
ttl_s = tree["decode"].ttl_s.squeeze()

# A request is in the batch for every token it still owes.
owed = weights * (osl - 1)
mixed_s = (ttl_s * weights[:, None, None] * (owed / owed.sum())[None, :, None]).sum(("isl", "osl"))
proxy_s = ttl_s.sel(isl=4096, osl=512)

figure, panel = plt.subplots(figsize=(7, 4), layout="constrained")
for label, step_s in {"constant 4096/512": proxy_s, "spread": mixed_s}.items():
    panel.plot(1 / step_s, step_s.batch / step_s / 8, "o-", label=label)
panel.set(xlabel="tokens/s/user", ylabel="decode tokens/s/GPU")
panel.legend()
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "lengths.png")
