"""Do the phases obey the laws that any serving system obeys, whatever its constants?

Every law is tried on random designs of every kind of model, with the kernel forms as they are.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxsim.point.attention.compressed as compressed
import jaxsim.point.attention.latent as latent
import jaxsim.point.footprint as memory
import jaxsim.point.forward as forward
from jaxsim.point.phases.colocated import colocated
from jaxsim.point.phases.decode import decode
from jaxsim.point.phases.prefill import prefill
from jaxsim.quantities import quantity
from jaxsim.space.designs import name_of
from tests.scenarios import MODELS, changed, outputs_of, random_scenarios, scenario, stacked

PHASES = {"prefill": prefill, "decode": decode, "colocated": colocated}
SLACK = 1 + 1e-9  # what rounding may add


@functools.cache
def designs(model: str):
    return stacked(random_scenarios(model, 12, 7))


def outputs(phase: str, scenarios) -> dict[str, np.ndarray]:
    """Every reported number of a phase, one row a design."""
    return by_name(outputs_of(PHASES[phase], scenarios))


def by_name(result) -> dict[str, np.ndarray]:
    flat, _ = jax.tree_util.tree_flatten_with_path(result)
    return {name_of(path): value for path, value in flat}


@functools.cache
def base(phase: str, model: str) -> dict[str, np.ndarray]:
    return outputs(phase, designs(model))


LATENCIES = {
    "prefill": ("compute_s", "ftl_s"),
    "decode": ("ttl_s", "ttl_end_s"),
    "colocated": ("ifb_ftl_s", "ifb_ttl_s", "piggybacked_ftl_s", "piggybacked_ttl_s"),
}
# Every phase and every kind of model, though not every pair.
SOME = [
    ("prefill", "gqa_moe"),
    ("prefill", "sliding"),
    ("decode", "gqa_dense"),
    ("decode", "sparse_moe"),
    ("colocated", "mla_moe"),
]


# ---- units ----


def in_other_units(record, second: float, byte: float):
    """A scenario with every leaf restated, by the unit that its name ends in."""

    def restate(path, leaf):
        name, owner = path[-1].name, path[0].name
        if owner == "element" or name.endswith("_bytes"):
            return leaf * byte
        if name.endswith("bytes_per_s"):
            return leaf * byte / second
        if name.endswith("_per_s"):
            return leaf / second
        return leaf * second if name.endswith("_s") else leaf

    return jax.tree_util.tree_map_with_path(restate, record)


@pytest.mark.parametrize(("phase", "model"), SOME)
def test_answers_follow_the_units(phase, model, monkeypatch):
    """Count seconds in thirds and bytes in fifths: every output restates itself."""
    second, byte = 3.0, 5.0
    before = base(phase, model)
    # Byte counts in formulas, by definition: logits are 32-bit floats, an indexer's keys 8-bit.
    for module, name in (
        (forward, "LOGIT_BYTES"), (memory, "LOGIT_BYTES"),
        (latent, "INDEX_BYTES"), (compressed, "INDEX_BYTES"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, byte * getattr(module, name))
    # A function of its own, so that it is traced anew, with that constant.
    again = outputs_of(lambda s: PHASES[phase](s), in_other_units(designs(model), second, byte))
    got = by_name(again)
    factor = {"s": second, "B": byte, "B/s": byte / second, "1/s": 1 / second}
    factor |= {"tokens/s": 1 / second, "1": 1.0, "tokens": 1.0}
    for name, value in before.items():
        expected = value * factor[quantity(name).units] if value.dtype != bool else value
        np.testing.assert_allclose(got[name], expected, rtol=1e-7, atol=1e-9, err_msg=name)


# ---- more is never slower ----

RESOURCES = {
    "memory bandwidth": lambda s: s.hardware.chip.hbm_bytes_per_s,
    "scale-up bandwidth": lambda s: s.hardware.scaleup.bytes_per_s,
    "scale-out bandwidth": lambda s: s.hardware.scaleout.bytes_per_s,
    "arithmetic": lambda s: (
        s.hardware.chip.peak.fp4_flop_per_s,
        s.hardware.chip.peak.fp8_flop_per_s,
        s.hardware.chip.peak.bf16_flop_per_s,
    ),
    "multiprocessors": lambda s: s.hardware.chip.multiprocessors,
}


WHERE = [("decode", "mla_moe", resource) for resource in RESOURCES] + [
    (phase, model, resource)
    for phase, model in (("colocated", "sliding"), ("prefill", "sparse_moe"))
    for resource in ("memory bandwidth", "multiprocessors")
]


@pytest.mark.parametrize(("phase", "model", "resource"), WHERE)
def test_more_hardware_is_never_slower(phase, model, resource):
    more = changed(RESOURCES[resource], designs(model), lambda leaf: 1.3 * leaf)
    got = outputs(phase, more)
    for name in LATENCIES[phase]:
        assert np.all(got[name] <= base(phase, model)[name] * SLACK), name


@pytest.mark.parametrize("model", MODELS)
def test_a_larger_batch_never_takes_a_step_less(model):
    more = changed(lambda s: s.design.batch, designs(model), lambda b: b + 17)
    assert np.all(outputs("decode", more)["ttl_s"] * SLACK >= base("decode", model)["ttl_s"])


@pytest.mark.parametrize("model", MODELS)
def test_more_context_is_never_faster(model):
    longer = changed(lambda s: s.workload.isl, designs(model), lambda isl: 2 * isl)
    assert np.all(outputs("decode", longer)["ttl_s"] * SLACK >= base("decode", model)["ttl_s"])
    assert np.all(base("decode", model)["ttl_end_s"] * SLACK >= base("decode", model)["ttl_s"])


@pytest.mark.parametrize("model", MODELS)
def test_a_longer_prompt_is_never_answered_sooner(model):
    """At whole multiples of a chunk; between them, chunks of equal tokens shrink."""
    lengths = [scenario(model, pp=4.0, chunk=512.0, isl=512.0 * n) for n in (1, 2, 3, 8, 24, 64)]
    assert np.all(np.diff(outputs("prefill", stacked(lengths))["ftl_s"]) > 0)


# ---- the study's identities ----


@pytest.mark.parametrize("model", ["gqa_dense", "gqa_moe", "mla_moe"])
def test_ingress_is_below_memory_bandwidth_over_output_length(model):
    """The prompt's cache is read at every step, so it cannot arrive faster than OSL - 1 reads."""
    result = random_scenarios(model, 12, 9)
    plain = [
        dataclasses.replace(
            s,
            workload=dataclasses.replace(s.workload, draft_tokens=0.0),
            options=dataclasses.replace(s.options, kv_compression=1.0),
        )
        for s in result
    ]
    got = outputs("decode", stacked(plain))["kv_ingress_bytes_per_s_per_gpu"]
    for s, ingress in zip(plain, got, strict=True):
        assert ingress <= s.hardware.chip.hbm_bytes_per_s / (s.workload.osl - 1)


@pytest.mark.parametrize("model", ["gqa_dense", "gqa_moe", "mla_moe"])
def test_egress_falls_as_prompts_grow(model):
    lengths = [scenario(model, ep=1.0, chunk=2048.0, isl=2.0**n) for n in range(13, 21)]
    egress = outputs("prefill", stacked(lengths))["kv_egress_bytes_per_s_per_gpu"]
    assert np.all(np.diff(egress) < 0)


@pytest.mark.parametrize("model", ["gqa_dense", "mla_moe"])
def test_matched_pools_send_what_they_receive(model):
    """At equal request rates, ingress = egress · N_p / N_d, N the GPUs with distinct cache."""
    prefills = scenario(model, tp=4.0, pp=2.0, batch=4.0)
    decodes = scenario(model, tp=1.0, ep=8.0 if "moe" in model else 1.0, batch=64.0)
    sent = outputs("prefill", stacked([prefills]))
    got = outputs("decode", stacked([decodes]))
    shards = 4 if "gqa" in model else 1
    holders_prefill, holders_decode = shards * 2, 8 if "moe" in model else 1
    instances = got["requests_per_s"] / sent["requests_per_s"]  # prefill for one of decode
    egress = instances * holders_prefill * sent["kv_egress_bytes_per_s_per_gpu"]
    ingress = holders_decode * got["kv_ingress_bytes_per_s_per_gpu"]
    np.testing.assert_allclose(ingress, egress, rtol=1e-9)


def test_pipelining_chunks_cuts_the_first_token_and_keeps_the_rate():
    """Many chunks over many stages: FTL falls almost by their number, requests/s/GPU stays."""
    one = scenario("gqa_dense", tp=1.0, pp=1.0, batch=1.0, isl=262144.0, chunk=1024.0)
    many = scenario("gqa_dense", tp=1.0, pp=16.0, batch=1.0, isl=262144.0, chunk=1024.0)
    got = outputs("prefill", stacked([one, many]))
    assert 12 < got["compute_s"][0] / got["compute_s"][1] < 16
    per_gpu = got["requests_per_s"] / got["gpus"]
    np.testing.assert_allclose(per_gpu[1], per_gpu[0], rtol=0.03)


# ---- gradients ----


# Co-located designs decode and prefill; prefill adds the transfer. Every kind of layer is
# differentiated in `tests/point/test_kinds.py`.
DEEP = [("colocated", "sparse_moe"), ("prefill", "sliding")]


@pytest.mark.parametrize(("phase", "model"), DEEP)
def test_every_gradient_is_finite(phase, model):
    """With respect to every leaf, at corners as well as inside."""
    ep = 8.0 if "moe" in model else 1.0
    corner = scenario(model, tp=1.0, batch=1.0, isl=1024.0, chunk=1024.0, osl=2.0)
    points = stacked([*random_scenarios(model, 4, 11), corner, scenario(model, ep=ep)])

    def total(s):
        result = jax.tree.leaves(PHASES[phase](s))
        return sum(jnp.log1p(x) for x in result if jnp.issubdtype(x.dtype, jnp.floating))

    gradients = outputs_of(jax.grad(total), points)
    for path, leaf in jax.tree_util.tree_flatten_with_path(gradients)[0]:
        assert np.all(np.isfinite(leaf)), jax.tree_util.keystr(path)
