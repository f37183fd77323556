"""Spaces hold what is worth evaluating, and refuse what cannot be."""

import pytest

from jaxsim.catalog.errors import InputError
from jaxsim.catalog.load import load_hardware, load_model
from jaxsim.space.axes import Space, axes_of, complete, default_space, designs_in, geometric


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
    request = complete(Space(ep=(1, 8)), model, hardware, 1024)
    assert request.ep == (1.0,)
    assert "dense" in request.dropped[0]


@pytest.mark.parametrize("isl", [200, 1000, 1024, 16384, 131072])
def test_chunks_cut_a_prompt_into_equal_parts_or_hold_whole_ones(isl):
    """Co-located passes hold two prompts at least, and prefill passes one of each sequence."""
    space = default_space(*records("llama-3.1-8b", "b200"), isl=isl)
    for chunk in space.chunk:
        parts = -(-isl // chunk)
        assert chunk == -(-isl // parts) if chunk <= isl else chunk % isl == 0
    assert {isl, 2 * isl} <= set(space.chunk)
    (chunk,) = [v for n, _, v in axes_of(space, "prefill", (isl,), (100,)) if n == "chunk"]
    assert max(chunk) == isl
    given = complete(Space(chunk=(512,)), *records("llama-3.1-8b", "b200"), isl)
    assert given.chunk == given.prefill_chunk == (512,)


@pytest.mark.parametrize("values", [(0,), (-1,), (1.5,), (float("nan"),), (float("inf"),)])
def test_impossible_values_are_refused(values):
    with pytest.raises(InputError, match="batch"):
        Space(batch=values)


def test_geometric_values_share_factors():
    assert geometric(16, 4) == (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16)
