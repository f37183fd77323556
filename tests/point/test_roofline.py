"""Laws of kernel times: monotone, right at both limits, free of units, differentiable."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxsim.catalog.calibration import list_calibrations, load_calibration, resolve_kernels
from jaxsim.catalog.fits import GemmFit, StreamFit
from jaxsim.catalog.hardware import Chip, PeakFlop
from jaxsim.catalog.precision import Precision
from jaxsim.point.attention.kinds import causal_pairs
from jaxsim.point.roofline import kernel_parts, kernel_s
from jaxsim.point.selected import SelectedAttention
from jaxsim.point.work import (
    AbstractWork,
    BatchedGemm,
    ContextAttention,
    DecodeAttention,
    Gemm,
    GroupedGemm,
    Stream,
)
from tests.units import in_other_units

CHIP = Chip(PeakFlop(9e15, 4.5e15, 2.25e15), 148.0, 1.8e11, 8e12)
CALIBRATIONS = ("b200", "h200")
MIXED = Precision(attention="fp8", ffn="nvfp4", experts="nvfp4", kv="fp8", attention_math="fp8")
WIDE = Precision()
KERNELS = [
    resolve_kernels(load_calibration(name), precision, warm=warm)
    for name in CALIBRATIONS
    for precision in (WIDE, MIXED)
    for warm in (False, True)
]

WORKS: dict[str, AbstractWork] = {
    "ffn_gemm": Gemm(64.0, 7168.0, 4096.0, 1.0, 1.0),
    "absorb_gemm": BatchedGemm(64.0, 8192.0, 128.0, 2.0, 2.0, 16.0),
    "experts": GroupedGemm(
        512.0, 30.0, 7168.0, 2048.0, 3.0, 0.5625, 0.5625, 256.0, 32.0, 8.0, 64.0
    ),
    "decode": DecodeAttention(64.0, 1.0, 4096.0, 64.0, 8.0, 128.0, 128.0, 256.0, 2.0),
    "decode_latent": DecodeAttention(64.0, 1.0, 4096.0, 128.0, 1.0, 576.0, 512.0, 576.0, 1.0),
    "dsa_decode": SelectedAttention(
        sequences=16.0,
        queries=1.0,
        entries=8192.0,
        scored=8192.0,
        index_heads=32.0,
        index_dim=128.0,
        index_bytes_per_element=1.0,
        keys=2048.0,
        pairs=2048.0,
        slots=4096.0,
        heads=16.0,
        kv_heads=1.0,
        qk_dim=576.0,
        v_dim=512.0,
        kv_dim=576.0,
        kv_bytes_per_element=1.0,
        activation_bytes_per_element=2.0,
        indexes=1.0,
        selects=0.5,
    ),
    "stream": Stream(1e6, 2.0),
}
WORKS |= {"compressed_context": WORKS["dsa_decode"], "msa_decode": WORKS["dsa_decode"]}
# What makes a kernel do more; the rest describes how.
AMOUNTS = {
    Gemm: ("rows", "outputs", "inputs", "weight_bytes_per_element"),
    BatchedGemm: ("rows", "outputs", "inputs", "weight_bytes_per_element", "products"),
    GroupedGemm: (
        "rows",
        "active_experts",
        "hidden",
        "intermediate",
        "matrices",
        "tokens",
        "experts",
        "picks",
        "expected_rows",
        "weight_bytes_per_element",
    ),
    DecodeAttention: ("sequences", "queries", "context", "heads", "kv_bytes_per_element", "masked"),
    SelectedAttention: (
        "sequences",
        "queries",
        "entries",
        "scored",
        "index_heads",
        "keys",
        "pairs",
        "slots",
        "heads",
        "kv_bytes_per_element",
    ),
    Stream: ("hbm_bytes", "launches"),
}
CONTEXT_AMOUNTS = ("sequences", "queries", "past", "heads", "kv_heads")

seconds_of = jax.jit(kernel_s)
parts_of = jax.jit(kernel_parts)
slopes_of = jax.jit(jax.value_and_grad(lambda tree: kernel_s(*tree)))
scales = st.floats(-4.0, 4.0).map(lambda power: 10.0**power)
factors = st.floats(1.0, 50.0)


def context(sequences=2.0, queries=1024.0, past=4096.0, heads=16.0, kv_heads=2.0):
    return ContextAttention(
        sequences=jnp.asarray(sequences),
        queries=jnp.asarray(queries),
        past=jnp.asarray(past),
        pairs=causal_pairs(queries, past, past + queries),
        heads=jnp.asarray(heads),
        kv_heads=jnp.asarray(kv_heads),
        qk_dim=jnp.asarray(128.0),
        v_dim=jnp.asarray(128.0),
        kv_bytes_per_element=jnp.asarray(2.0),
        activation_bytes_per_element=jnp.asarray(2.0),
    )


def arrays(tree):
    return jax.tree.map(jnp.asarray, tree)


def drawn(work, data):
    """Work of any size. An FFN has two matrices at least: with fewer, none would be read."""
    amounts = {name: getattr(work, name) * data.draw(scales) for name in AMOUNTS[type(work)]}
    if "matrices" in amounts:
        amounts["matrices"] = max(amounts["matrices"], 2.0)
    return replace(work, **amounts)


@pytest.mark.parametrize("role", WORKS)
@given(data=st.data(), factor=factors)
def test_more_work_is_never_faster(role, data, factor):
    """From far below one tile to far above the chip, for every amount and calibration."""
    start = drawn(WORKS[role], data)
    name = data.draw(st.sampled_from(AMOUNTS[type(start)]))
    more = replace(start, **{name: getattr(start, name) * factor})
    fit = getattr(data.draw(st.sampled_from(KERNELS)), role)
    before, after = seconds_of(arrays(start), fit, CHIP), seconds_of(arrays(more), fit, CHIP)
    assert after >= before * (1.0 - 1e-12)


@given(
    data=st.data(),
    factor=factors,
    name=st.sampled_from(CONTEXT_AMOUNTS),
    fit=st.sampled_from([kernels.context for kernels in KERNELS]),
)
def test_more_prompt_is_never_faster(data, factor, name, fit):
    """Pairs follow from queries and past, as causal attention has them."""
    amounts = {
        key: data.draw(st.floats(0.0, 5.0).map(lambda power: 10.0**power))
        for key in CONTEXT_AMOUNTS
    }
    before = seconds_of(context(**amounts), fit, CHIP)
    amounts[name] *= factor
    assert seconds_of(context(**amounts), fit, CHIP) >= before * (1.0 - 1e-12)


@pytest.mark.parametrize("role", WORKS)
@given(
    data=st.data(),
    factor=factors,
    what=st.sampled_from(["hbm_bytes_per_s", "multiprocessors", "peak"]),
)
def test_more_hardware_is_never_slower(role, data, factor, what):
    """Bandwidth, multiprocessors at the same total peak, or peak."""
    work = drawn(WORKS[role], data)
    larger = getattr(CHIP, what)
    larger = jax.tree.map(lambda x: x * factor, larger)
    fit = getattr(data.draw(st.sampled_from(KERNELS)), role)
    before = seconds_of(arrays(work), fit, CHIP)
    after = seconds_of(arrays(work), fit, replace(CHIP, **{what: larger}))
    assert after <= before * (1.0 + 1e-12)


def test_no_step_back_at_a_tile():
    """Row by row through tile boundaries, such as 63 to 64, no kernel gets faster."""
    rows = jnp.arange(1.0, 1100.0)
    for kernels in KERNELS[::3]:
        many = jax.vmap(
            lambda r, k=kernels: kernel_s(
                Gemm(r, jnp.asarray(7168.0), jnp.asarray(7168.0), 1.0, 1.0), k.ffn_gemm, CHIP
            )
        )(rows)
        assert np.all(np.diff(np.asarray(many)) >= 0.0)
        many = jax.vmap(
            lambda r, k=kernels: kernel_s(
                replace(arrays(WORKS["decode"]), sequences=r), k.decode, CHIP
            )
        )(rows)
        assert np.all(np.diff(np.asarray(many)) >= 0.0)


@pytest.mark.parametrize("ranks", [1.0, 8.0, 64.0])
def test_no_step_back_at_an_expert_tile(ranks):
    """Token by token, with all that follows from them, through every tile of the experts."""
    experts, picks = 256.0, 8.0

    def routed(tokens, fit):
        work = replace(
            arrays(WORKS["experts"]),
            rows=tokens * picks / ranks,
            active_experts=-experts / ranks * jnp.expm1(tokens * jnp.log1p(-picks / experts)),
            tokens=tokens,
            experts=experts / ranks,
            expected_rows=tokens * picks * ranks / experts,
        )
        return kernel_s(work, fit, CHIP)

    tokens = jnp.arange(1.0, 1100.0)
    for kernels in KERNELS:
        many = jax.vmap(lambda count, fit=kernels.experts: routed(count, fit))(tokens)
        assert np.all(np.diff(np.asarray(many)) >= 0.0)


def test_no_step_back_past_a_window():
    """Context token by context token, until what a sliding window hides no longer counts."""
    context_tokens, window = jnp.arange(1.0, 2500.0), 128.0
    for kernels in KERNELS:
        seconds = jax.vmap(
            lambda n, k=kernels: kernel_s(
                replace(
                    arrays(WORKS["decode"]),
                    context=jnp.minimum(n, window),
                    masked=jnp.maximum(n - window, 0.0),
                ),
                k.decode,
                CHIP,
            )
        )(context_tokens)
        many = np.asarray(seconds)
        assert np.all(np.diff(many) >= 0.0)
        assert many[-1] == many[-200]


def test_narrow_heads_start_later():
    """What is not memory or arithmetic is never shorter for a head of fewer dimensions."""
    for kernels in KERNELS:
        work = arrays(WORKS["decode"])
        half = replace(work, qk_dim=work.qk_dim / 2.0, v_dim=work.v_dim / 2.0)
        narrow, wide = (parts_of(one, kernels.decode, CHIP) for one in (half, work))
        assert narrow.launch_s > wide.launch_s


def test_a_large_gemm_runs_at_the_arithmetic_rate():
    """Far above the ridge: flop over the fitted fraction of peak, slowed by what spills."""
    fit = KERNELS[0].ffn_gemm
    work = arrays(Gemm(1e6, 65536.0, 65536.0, 2.0, 2.0))
    rate = fit.peak_frac * CHIP.peak.bf16_flop_per_s / (1.0 + fit.spill_frac)
    parts = parts_of(work, fit, CHIP)
    # Starts of tiles and the conversion of inputs are what remains beside it.
    assert 1.0 <= parts.seconds / (work.flop / rate) <= 1.1
    assert parts.arithmetic_s > 10.0 * parts.memory_s


def test_a_thin_gemm_runs_at_the_memory_rate():
    """Far below the ridge: weights over the fitted fraction of bandwidth."""
    fit = KERNELS[0].ffn_gemm
    work = arrays(Gemm(1.0, 65536.0, 65536.0, 2.0, 2.0))
    parts = parts_of(work, fit, CHIP)
    assert 1.0 <= parts.seconds / (work.hbm_bytes / (fit.hbm_frac * CHIP.hbm_bytes_per_s)) <= 1.2
    assert parts.memory_s > parts.arithmetic_s


def test_a_long_cache_is_read_at_the_memory_rate():
    """A batch with long contexts costs its keys and values, and little else."""
    fit = KERNELS[0].decode
    work = arrays(replace(WORKS["decode"], context=65536.0))
    seconds = seconds_of(work, fit, CHIP)
    assert 1.0 <= seconds / (work.hbm_bytes / (fit.hbm_frac * CHIP.hbm_bytes_per_s)) <= 1.1


@pytest.mark.parametrize("role", WORKS)
def test_parts_bound_the_whole(role):
    """No kernel is faster than any one of its resources."""
    for kernels in KERNELS:
        parts = parts_of(arrays(WORKS[role]), getattr(kernels, role), CHIP)
        assert parts.seconds >= parts.launch_s + max(parts.arithmetic_s, parts.memory_s) * 0.999


def test_a_cold_cache_is_never_faster():
    """What a benchmark finds in the last cache, a model reads from memory."""
    for role, amount in (("decode", "context"), ("absorb_gemm", "rows")):
        work = arrays(WORKS[role])
        for name in CALIBRATIONS:
            cold, warm = (
                getattr(resolve_kernels(load_calibration(name), WIDE, warm=warm), role)
                for warm in (False, True)
            )
            slower = []
            for value in (16.0, 512.0, 4096.0, 65536.0):
                one = replace(work, **{amount: jnp.asarray(value)})
                slower.append(seconds_of(one, cold, CHIP) / seconds_of(one, warm, CHIP))
                assert slower[-1] >= 1.0
            # A cache that is far too small makes no difference; one that holds all does.
            assert slower[-1] == pytest.approx(1.0, rel=1e-3)
            assert max(slower) > 1.001


def test_products_side_by_side_read_their_own_inputs():
    """A batch of one is the plain GEMM; more products of the same flop move more bytes."""
    fit = resolve_kernels(load_calibration("b200"), WIDE).absorb_gemm
    shape = (8192.0, 65536.0, 128.0, 2.0, 2.0)
    plain, one = arrays(Gemm(*shape)), arrays(BatchedGemm(*shape, 1.0))
    names = GemmFit.__dataclass_fields__
    same = GemmFit(**{name: getattr(fit, name) for name in names})
    assert seconds_of(one, fit, CHIP) == pytest.approx(seconds_of(plain, same, CHIP))
    many = arrays(BatchedGemm(*shape, 128.0))
    assert many.flop == one.flop
    assert many.hbm_bytes - one.hbm_bytes == 127.0 * 8192.0 * 128.0 * 2.0
    assert seconds_of(many, fit, CHIP) > 1.05 * seconds_of(one, fit, CHIP)


@pytest.mark.parametrize("role", [*WORKS, "context"])
@given(second=st.floats(0.1, 10.0), byte=st.floats(0.1, 10.0))
def test_the_answer_follows_the_units(role, second, byte):
    """Inputs restated in other units of time and data restate the answer."""
    work = context() if role == "context" else arrays(WORKS[role])
    for kernels in KERNELS[::3]:
        given_ = arrays((work, getattr(kernels, role), CHIP))
        restated = in_other_units(given_, second, byte)
        np.testing.assert_allclose(seconds_of(*restated), second * seconds_of(*given_), rtol=1e-9)


@pytest.mark.parametrize("role", [*WORKS, "context"])
@pytest.mark.parametrize("amount", [0.0, 1e-3, 1.0, 1e4])
def test_gradients_are_finite_in_32_bits(role, amount):
    """With respect to work, fit and chip, from nothing to far more than a chip holds."""
    work = context() if role == "context" else WORKS[role]
    names = CONTEXT_AMOUNTS if role == "context" else AMOUNTS[type(work)]
    work = replace(work, **{name: getattr(work, name) * amount for name in names})
    for kernels in KERNELS[::3]:
        tree = jax.tree.map(
            lambda x: jnp.asarray(x, jnp.float32), (work, getattr(kernels, role), CHIP)
        )
        seconds, slopes = slopes_of(tree)
        assert np.isfinite(seconds)
        assert seconds >= 0.0
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(slopes))


def test_32_bits_agree_with_64():
    """To rounding, over the whole range of every work."""
    for role, work in WORKS.items():
        for scale in (1e-3, 1.0, 1e3):
            one = replace(work, **{n: getattr(work, n) * scale for n in AMOUNTS[type(work)]})
            for kernels in KERNELS:
                tree = (one, getattr(kernels, role), CHIP)
                wide = seconds_of(*arrays(tree))
                narrow = seconds_of(*jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), tree))
                np.testing.assert_allclose(narrow, wide, rtol=2e-5)


def test_one_compilation_for_every_chip_and_format():
    """Formats and chips are numbers: the same tree, whatever is chosen."""
    structures = {
        jax.tree.structure(resolve_kernels(load_calibration(name), precision))
        for name in list_calibrations()
        for precision in (WIDE, MIXED, Precision(experts="mxfp4", ffn="int4"))
    }
    assert len(structures) == 1


def test_adding_multiprocessors_of_the_same_kind():
    """Peak belongs to the multiprocessors: with twice as many, a large GEMM takes half as long."""
    fit = KERNELS[0].ffn_gemm
    work = arrays(Gemm(65536.0, 16384.0, 16384.0, 2.0, 2.0))
    twice = replace(CHIP, multiprocessors=2.0 * CHIP.multiprocessors)
    ratio = seconds_of(work, fit, twice) / seconds_of(work, fit, CHIP)
    assert 0.49 < ratio < 0.6


def test_every_kind_of_work_has_a_form():
    """A kind without a form is named; a stream is launches and bytes, nothing else."""

    class Unknown(AbstractWork):
        pass

    with pytest.raises(NotImplementedError, match="Unknown"):
        kernel_s(Unknown(), StreamFit(1e-6, 0.5), CHIP)
    assert kernel_s(Stream(8e12, 2.0), StreamFit(1e-6, 0.5), CHIP) == pytest.approx(2.0 + 2e-6)
