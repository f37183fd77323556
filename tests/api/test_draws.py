"""Nothing is drawn twice; `tests/view/cli/test_traffic.py` compares draws with single runs."""

import pytest

import jaxsim
from jaxsim.catalog.errors import InputError

POOLS = jaxsim.Pools(prefill={"tp": 1}, decode={"tp": 1})
LOAD = jaxsim.load_of(isl="uniform:100:900", osl="uniform:20:60", requests_per_s=3, duration_s=30)
GIVEN = {
    "ftl_s": 2.0, "ttl_s": 0.05, "pools": POOLS, "policies": ["static", "elastic"],
    "engine": "vllm", "most_sequences": 63, "interval_s": 10.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("hardware", "seeds", "message"),
    [("h100", [], "seeds"), ("h100", [1, 1], "none twice"), (["h100", "h100"], [1], "none twice")],
)
def test_nothing_is_drawn_twice(hardware, seeds, message):
    with pytest.raises(InputError, match=message):
        jaxsim.simulate_draws("llama-3.1-8b", hardware, LOAD, seeds=seeds, **GIVEN)
