"""Are draws those of single simulations, in their places?"""

import doctest
import importlib

import numpy as np
import pytest

import jaxsim
from jaxsim.catalog.errors import InputError

POOLS = jaxsim.Pools(prefill={"tp": 1}, decode={"tp": 1})
LOAD = jaxsim.load_of(isl="uniform:100:900", osl="uniform:20:60", requests_per_s=3, duration_s=30)
GIVEN = {
    "ftl_s": 2.0, "ttl_s": 0.05, "pools": POOLS, "policies": ["static", "elastic"],
    "engine": "vllm", "most_sequences": 63, "interval_s": 10.0,
}  # fmt: skip


def test_draws_are_single_runs_side_by_side():
    result = jaxsim.simulate_draws("llama-3.1-8b", ["h100", "h200"], LOAD, seeds=[3, 1], **GIVEN)
    assert dict(result.sizes) == {"hardware": 2, "policy": 2, "seed": 2, "quantile": 4}
    one = jaxsim.simulate("llama-3.1-8b", "h200", LOAD.drawn(1), **GIVEN)
    own = result.sel(hardware="h200", seed=1)
    for policy, told in one.outcomes.items():
        there = own.sel(policy=policy)
        assert float(there.attainment) == told["attainment"]
        assert float(there.joules) == told["joules"]
        for name in ("ttft", "tpot", "e2e", "gap"):
            quantiles = [float(told[f"{name}_p{q}_s"]) for q in (50, 90, 95, 99)]
            np.testing.assert_allclose(there[f"{name}_s"], quantiles, rtol=1e-12)
    assert not np.array_equal(result.ttft_s.sel(seed=1), result.ttft_s.sel(seed=3))
    faster = result.tpot_s.sel(hardware="h200") < result.tpot_s.sel(hardware="h100")
    assert bool(faster.all())


def test_the_example_of_the_docstring_runs():
    """After the test above, whose pools and lengths it has: nothing is compiled again."""
    module = importlib.import_module("jaxsim.api.draws")
    result = doctest.testmod(module, extraglobs={"jaxsim": jaxsim})
    assert (result.failed, result.attempted) == (0, 3)


@pytest.mark.parametrize(
    ("hardware", "seeds", "message"),
    [("h100", [], "seeds"), ("h100", [1, 1], "none twice"), (["h100", "h100"], [1], "none twice")],
)
def test_nothing_is_drawn_twice(hardware, seeds, message):
    with pytest.raises(InputError, match=message):
        jaxsim.simulate_draws("llama-3.1-8b", hardware, LOAD, seeds=seeds, **GIVEN)
