"""The gain of disaggregation over prompt and answer length: Llama-3.1 70B at 40 tokens/s/user."""

import sys
from typing import Any

import numpy as np

import jaxsim

space = jaxsim.Space(batch=[2**k for k in range(13)], chunk=(256, 2048), pp=(1, 4))
lengths: dict[str, Any] = {"isl": 2.0 ** np.arange(9, 17, 2), "osl": 2.0 ** np.arange(6, 14)}
tree = jaxsim.evaluate("llama-3.1-70b", "gb200-nvl72", jaxsim.Workload(**lengths), space)
axes = jaxsim.draw_gain_map(jaxsim.gains(tree, ftl_s=10.0, ttl_s=0.025))
figure = axes.get_figure(root=True)
assert figure is not None
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "when_to_disaggregate.png")
