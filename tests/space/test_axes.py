"""Spaces hold what is worth evaluating, and refuse what cannot be."""

import pytest

from jaxsim.catalog.errors import InputError
from jaxsim.catalog.load import load_hardware, load_model
from jaxsim.space.axes import Space, complete, default_space, designs_in, geometric


def records(model, hardware):
    return load_model(model).model, load_hardware(hardware).hardware


def test_the_default_space_of_the_study_is_large():
    """At least 200,000 designs for DeepSeek-R1 on GB200 across the phases."""
    space = default_space(*records("deepseek-r1", "gb200-nvl72"), isl=16384)
    assert sum(designs_in(space, phase) for phase in ("prefill", "decode", "colocated")) > 200_000
    assert max(space.tp) == 64
    assert max(space.ep) == 64


def test_widths_divide_heads_and_experts():
    model, hardware = records("kimi-k2", "gb200-nvl72")
    space = default_space(model, hardware, isl=4096)
    assert all(64 % tp == 0 for tp in space.tp)
    assert all(384 % ep == 0 for ep in space.ep)
    assert 48.0 in space.ep


def test_dense_models_have_no_expert_axis():
    model, hardware = records("llama-3.1-8b", "b200")
    asked = complete(Space(ep=(1, 8)), model, hardware, 1024)
    assert asked.ep == (1.0,)
    assert "dense" in asked.dropped[0]


@pytest.mark.parametrize("values", [(0,), (-1,), (1.5,), (float("nan"),), (float("inf"),)])
def test_impossible_values_are_refused(values):
    with pytest.raises(InputError, match="batch"):
        Space(batch=values)


def test_geometric_values_share_factors():
    assert geometric(16, 4) == (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16)
