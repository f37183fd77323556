"""Is every design that cannot be deployed named, and by the right rule?"""

from dataclasses import replace

import pytest

from jaxsim.point.exact_division import divides
from jaxsim.point.phases.decode import decode
from tests.scenarios import scenario

FITS = {"tp": 8.0, "ep": 8.0, "pp": 2.0, "batch": 8.0}


def broken(model, **design) -> set[str]:
    rules = decode(scenario(model, **{**FITS, **design})).rules
    result = {name for name in rules.__dataclass_fields__ if not bool(getattr(rules, name))}
    assert bool(rules.valid) == (not result)
    return result


@pytest.mark.parametrize("model", ["gqa_moe", "mla_moe", "sparse_moe"])
def test_a_sensible_design_breaks_none(model):
    assert broken(model) == set()


@pytest.mark.parametrize(
    ("model", "design", "rule"),
    [
        ("gqa_dense", {"tp": 64.0, "ep": 1.0}, "heads_divide"),  # 32 heads
        ("gqa_dense", {"tp": 3.0, "ep": 1.0}, "heads_divide"),
        ("mla_moe", {"ep": 24.0}, "experts_divide"),  # 64 experts
        ("mla_moe", {"tp": 2.0, "ep": 3.0}, "widths_divide"),
        ("mla_moe", {"ep": 128.0}, "within_domain"),  # 72 GPUs
        ("mla_moe", {"pp": 25.0}, "stages_have_layers"),  # 24 layers
        ("mla_moe", {"batch": 1e6}, "fits_memory"),
        ("gqa_dense", {"tp": 1.0, "ep": 1.0, "isl": 1e9}, "fits_memory"),
    ],
)
def test_each_rule_names_what_breaks_it(model, design, rule):
    assert rule in broken(model, **({"ep": 1.0} if "dense" in model else {}) | design)


def test_grouped_heads_may_be_copied_but_not_cut():
    """8 key/value heads: 4, 8 and 16 ranks are fine; 6 would cut one."""
    for tp in (4.0, 8.0, 16.0):
        assert "heads_divide" not in broken("gqa_dense", tp=tp, ep=1.0)
    assert "heads_divide" in broken("gqa_dense", tp=6.0, ep=1.0)


def test_a_broken_rule_still_gives_numbers():
    got = decode(scenario("gqa_dense", tp=64.0))
    assert not bool(got.valid)
    assert float(got.ttl_s) > 0


def test_divides():
    assert bool(divides(8.0, 64.0))
    assert not bool(divides(24.0, 64.0))


def test_a_wide_stage_fills_domains_and_copies_experts():
    """Domains of 8 GPUs, 64 experts: 32 GPUs fill four; 24 of them hold 72 experts, 8 of them
    copies; 12 fill none. Without dispatch every rank needs as many."""

    def on_nodes(**design):
        point = scenario("mla_moe", **{**FITS, "tp": 1.0, "batch": 512.0, **design})
        point = replace(point, hardware=replace(point.hardware, domain_gpus=8.0))
        rules = decode(point).rules
        return {name for name in rules.__dataclass_fields__ if not bool(getattr(rules, name))}

    assert on_nodes(ep=32.0) == set()
    assert on_nodes(ep=24.0) == set()
    assert on_nodes(ep=12.0) >= {"within_domain"}
    assert "experts_divide" in on_nodes(tp=24.0, ep=24.0)
    assert "experts_divide" in on_nodes(ep=136.0)  # more than one copy of each
