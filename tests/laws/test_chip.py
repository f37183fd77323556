"""Does anything beat the chip?  Kernels, messages and passes of every engine, against datasheets.

Every chip, engine, number format and kind of kernel, at sizes from 1 to a million.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsim.catalog.calibration import fit_of, load_calibration
from jaxsim.catalog.cards import HardwareCard
from jaxsim.catalog.deployment import Deployment
from jaxsim.catalog.known_engines import list_engines, load_engine
from jaxsim.catalog.load import load_hardware, load_model
from jaxsim.catalog.names import list_hardware
from jaxsim.catalog.precision_presets import load_precision
from jaxsim.catalog.setup import setup_of
from jaxsim.catalog.workload import Workload
from jaxsim.point.attention.base import causal_pairs
from jaxsim.point.collectives import message_s, wire
from jaxsim.point.forward import (
    common_items,
    context_only_items,
    decode_only_items,
    item_spent,
)
from jaxsim.point.items import ContextTokens, DecodeTokens
from jaxsim.point.phases.colocated import colocated
from jaxsim.point.phases.decode import decode
from jaxsim.point.phases.prefill import prefill
from jaxsim.point.ranks import ranks_of
from jaxsim.point.roofline import kernel_s, one_peak_flop_per_s
from jaxsim.point.selected import SelectedAttention
from jaxsim.point.work import (
    AbstractMessage,
    AllGather,
    AllReduce,
    AllToAll,
    BatchedGemm,
    ContextAttention,
    DecodeAttention,
    Gemm,
    GroupedGemm,
    ReduceScatter,
    SendRecv,
    Stream,
)
from jaxsim.quantities import KERNEL_PARTS
from jaxsim.space.program.interpret import at_many
from jaxsim.truth.engines.fit import FREE, LEAST_LAUNCH
from tests.scenarios import outputs_of, stacked

SLACK = 1 - 1e-5  # what rounding in single precision may take away
SIZES = 10.0 ** np.linspace(0.0, 6.0, 7)
CHIPS = list_hardware()
FORMATS = ("nvfp4", "mxfp4", "int4", "fp8", "fp8_block", "bf16")
SELECTING = [
    f"{own}_{phase}" for own in ("dsa", "msa", "compressed") for phase in ("decode", "context")
]
ENGINES = [name for name in list_engines() if name not in ("ideal", "limit")]


def bandwidth(name: str) -> float:
    return float(hardware(name).hardware.chip.hbm_bytes_per_s)


def stack(trees):
    return jax.tree.map(lambda *leaves: np.stack(leaves).astype(np.float32), *trees)


def every(fn, *columns, work) -> np.ndarray:
    """`fn` of every row of the columns and every launch [row, launch], without compilation."""

    def along(tree, axis):
        return jax.tree.map(lambda leaf: np.expand_dims(np.asarray(leaf, np.float32), axis), tree)

    return at_many(fn, (*(along(column, 1) for column in columns), along(work, 0)))


@functools.cache
def hardware(name: str) -> HardwareCard:
    return load_hardware(name)


def combined(**columns):
    """Every combination of the given sizes, as flat columns."""
    grids = np.meshgrid(*columns.values(), indexing="ij")
    return {
        name: jnp.asarray(g.ravel(), jnp.float32) for name, g in zip(columns, grids, strict=True)
    }


def full(form, **columns):
    size = max(jnp.size(column) for column in columns.values())
    return form(
        **{k: jnp.broadcast_to(jnp.asarray(v, jnp.float32), (size,)) for k, v in columns.items()}
    )


def works(kind: str):
    """Launches of a kind of kernel, from one element to a million of each dimension."""
    if kind in ("gemm", "absorb"):
        own = combined(rows=SIZES, outputs=SIZES[1:], inputs=SIZES[1:])
        own |= {"weight_bytes_per_element": 1.0, "activation_bytes_per_element": 1.0}
        return full(Gemm, **own) if kind == "gemm" else full(BatchedGemm, products=16.0, **own)
    if kind == "experts":
        own = combined(rows=SIZES, active_experts=SIZES[:4], hidden=SIZES[1:5], tokens=SIZES[:6])
        return full(
            GroupedGemm, intermediate=own["hidden"] / 2, matrices=3.0, picks=8.0,
            experts=own["active_experts"], expected_rows=own["rows"] / own["active_experts"],
            weight_bytes_per_element=0.5625, activation_bytes_per_element=0.5625, **own,
        )  # fmt: skip
    if kind in ("context", "context_latent"):
        own = combined(sequences=SIZES[:4], queries=SIZES, past=SIZES, heads=SIZES[:3])
        pairs = causal_pairs(own["queries"], own["past"], own["past"] + own["queries"])
        return full(
            ContextAttention, pairs=pairs, kv_heads=1.0, qk_dim=192.0, v_dim=128.0,
            kv_bytes_per_element=1.0, activation_bytes_per_element=2.0, **own,
        )  # fmt: skip
    if kind in ("decode", "decode_latent"):
        own = combined(sequences=SIZES, queries=SIZES[:1], context=SIZES, heads=SIZES[:3])
        return full(
            DecodeAttention, kv_heads=1.0, qk_dim=576.0, v_dim=512.0, kv_dim=576.0,
            kv_bytes_per_element=1.0, masked=0.0, **own,
        )  # fmt: skip
    if kind in SELECTING:
        own = combined(sequences=SIZES[:5], pairs=SIZES, heads=SIZES[:3], entries=SIZES)
        return full(
            SelectedAttention, queries=1.0, scored=own["entries"], keys=own["pairs"], slots=4096.0,
            index_heads=64.0, index_dim=128.0, index_bytes_per_element=1.0, kv_heads=1.0,
            qk_dim=576.0, v_dim=512.0, kv_dim=576.0, kv_bytes_per_element=1.0,
            activation_bytes_per_element=2.0, indexes=1.0, selects=1.0, **own,
        )  # fmt: skip
    own = combined(hbm_bytes=SIZES**2)
    return full(Stream, launches=1.0, **own)


def bound_s(work, fit, chip):
    """The least seconds by the datasheet."""
    if isinstance(work, Stream):
        return work.hbm_bytes / chip.hbm_bytes_per_s
    peak = one_peak_flop_per_s(fit.peak, fit.multiprocessors, chip) * chip.multiprocessors
    return jnp.maximum(work.flop / peak, work.hbm_bytes / chip.hbm_bytes_per_s)


def fits_of(kind: str):
    """Fits of a kind in all formats on all chips, as engines use them, with the chips."""
    formats = {"gemm": FORMATS, "experts": FORMATS}
    formats |= dict.fromkeys(("stream", "hyper", *SELECTING), ("any",))
    fits, chips = [], []
    for name in CHIPS:
        card = hardware(name)
        calibration = load_calibration(card.calibration)
        own = dataclasses.replace(
            calibration, multiprocessors=float(card.hardware.chip.multiprocessors)
        )
        apart = own.families[kind] if kind in SELECTING else ()  # engines' own kernels, too
        for number_format in (*formats.get(kind, ("fp8", "bf16")), *(set(apart) - {"any"})):
            fit = fit_of(own, kind, number_format)
            if kind in ("absorb", "decode", "decode_latent"):
                fit = dataclasses.replace(fit, cache_bytes=0.0)
            fits.append(fit)
            chips.append(card.hardware.chip)
    return stack(fits), stack(chips)


KERNELS = (
    "gemm",
    "absorb",
    "experts",
    "context",
    "context_latent",
    "decode",
    "decode_latent",
    "stream",
    "hyper",
    *SELECTING,
)


@pytest.mark.parametrize("kind", KERNELS)
def test_no_kernel_beats_the_datasheet(kind):
    def ratio(given):
        fit, chip, own = given
        return kernel_s(own, fit, chip) / bound_s(own, fit, chip)

    result = every(ratio, *fits_of(kind), work=works(kind))
    assert result.size > 100
    assert np.isfinite(result).all()
    assert result.min() >= SLACK


@pytest.mark.parametrize("kind", SELECTING)
def test_a_narrower_cache_is_slower_only_where_its_kernels_were_measured_so(kind):
    """By what widening its bytes takes, where a fit has such a time; else not at all."""
    own = works(kind)
    assert isinstance(own, SelectedAttention)
    wide = dataclasses.replace(own, kv_bytes_per_element=2.0 * own.kv_bytes_per_element)

    def longer_s(given):
        fit, chip, (narrow, bf16) = given
        passes = (1.0 + narrow.missing) * fit.widen_passes
        widened_s = passes * narrow.gathered_bytes / chip.hbm_bytes_per_s
        more_s = kernel_s(narrow, fit, chip) - kernel_s(bf16, fit, chip)
        return more_s, widened_s, kernel_s(bf16, fit, chip)

    fits, chips = fits_of(kind)
    more_s, widened_s, all_s = every(longer_s, fits, chips, work=(own, wide))
    measured = np.asarray(fits.widen_passes) > 0.0
    rounding_s = (1.0 - SLACK) * np.asarray(all_s)
    assert (np.asarray(more_s) <= np.asarray(widened_s) + rounding_s).all()
    assert (np.asarray(more_s)[~measured] <= rounding_s[~measured]).all()
    if kind.startswith("compressed"):
        assert not measured.any()


# ---- messages ----

MESSAGES = {
    "all_reduce": AllReduce,
    "all_gather": AllGather,
    "reduce_scatter": ReduceScatter,
    "all_to_all": AllToAll,
    "send_recv": SendRecv,
}


def least_s(message: AbstractMessage, own):
    """What a GPU must get, at the links' bandwidth; sums may be formed in the network.

    Where both fabrics carry a message at the same time, the slower of the two.
    """
    parts = wire(message, own.domain_gpus)
    once = 0.5 if isinstance(message, AllReduce) else 1.0
    inside_s = parts.inside_bytes / own.scaleup.bytes_per_s
    across_s = parts.across_bytes / own.scaleout.bytes_per_s
    together_s = jnp.where(
        jnp.asarray(parts.at_once) > 0.0, jnp.maximum(inside_s, across_s), inside_s + across_s
    )
    return once * together_s


@pytest.mark.parametrize("kind", MESSAGES)
def test_no_message_beats_the_links(kind):
    sizes = combined(data_bytes=SIZES**1.7, ranks=2.0 ** np.arange(1, 7))
    extra = {"pieces": 0.0} if kind == "all_to_all" else {}
    work = full(MESSAGES[kind], **sizes, **extra)
    size = jnp.size(work.data_bytes)
    work = jax.tree.map(lambda leaf: jnp.broadcast_to(jnp.asarray(leaf), (size,)), work)
    fits = [fit_of(load_calibration(hardware(name).calibration), kind) for name in CHIPS]

    def ratio(given):
        fit, own, message = given
        return message_s(message, fit, own) / least_s(message, own)

    cards = stack([hardware(name).hardware for name in CHIPS])
    result = every(ratio, stack(fits), cards, work=work)
    assert result.min() >= SLACK


# ---- whole passes, with what engines do to them ----

PRECISIONS = ("bf16", "fp8", "nvfp4")  # each narrower than the one before
BATCHES = (1.0, 256.0)
ISL = 4096.0
EVERY = ("ideal", *ENGINES)
MODELS = ("llama-3.1-70b", "deepseek-r1")


@functools.cache
def passes(model: str):
    """Seconds of passes [chip, precision, engine, batch, pass], and the datasheet's least.

    A decode step and a batch of prompts; of a dense model also a mean co-located step of the faster
    mode, and a second of a co-located instance, of which arithmetic at the peak takes a part. Last,
    seconds of each part's launch floors and work in the first two [..., pass, part, both].
    """
    card = load_model(model)
    scenarios = []
    for name in CHIPS:
        for preset in PRECISIONS:
            precision = load_precision(preset, card)
            setup = setup_of(card, hardware(name), precision, "ideal")
            base = setup.scenario(Workload(isl=ISL, osl=512.0))
            for engine in EVERY:
                own = load_engine(engine, name, card).engine
                for batch in BATCHES:
                    design = Deployment(8.0, 1.0, 1.0, batch, ISL)
                    scenarios.append(dataclasses.replace(base, engine=own, design=design))

    def timed(scenario):
        ranks = ranks_of(scenario.design)
        batch = scenario.design.batch
        one, many = decode(scenario), prefill(scenario)
        decoded = DecodeTokens(batch, 1.0, scenario.workload.isl + 0.5 * scenario.workload.osl)
        prompts = ContextTokens(batch, scenario.workload.isl, 0.0, 0.0)
        least, flop_s, spent = [], [], []
        for own, rows, heads in (
            (decode_only_items(scenario, ranks, decoded), batch, batch),
            (context_only_items(scenario, ranks, prompts), prompts.rows, batch),
        ):
            items = [*common_items(scenario, ranks, rows, heads, rows), *own]
            least.append(sum(item.count * item_least_s(item, scenario) for item in items))
            flop_s.append(sum(item.count * item_flop_s(item, scenario) for item in items))
            each = [item_spent(item, scenario) for item in items]
            spent += [
                sum((own for item, one in zip(items, each, strict=True)
                     for own in [getattr(one, name)] if item.part == part), start=0.0 * batch)
                for part in KERNEL_PARTS for name in ("floor_s", "working_s")
            ]  # fmt: skip
        if card.is_moe:  # the co-located phase is the same code, and takes long to trace
            return (one.ttl_s, many.compute_s), tuple(least), tuple(spent)
        shared = colocated(scenario)
        request_s = (flop_s[1] + (scenario.workload.osl - 1.0) * flop_s[0]) / batch
        step_s = jnp.minimum(shared.ifb.ttl_s, shared.piggybacked.ttl_s)
        seconds = (one.ttl_s, many.compute_s, step_s, jnp.ones_like(step_s))
        return seconds, (*least, least[0], shared.requests_per_s * request_s), tuple(spent)

    shape = (len(CHIPS), len(PRECISIONS), len(EVERY), len(BATCHES))
    every = outputs_of(timed, stacked(scenarios))
    seconds, least, spent = (np.stack(o, axis=-1).reshape(*shape, len(o)) for o in every)
    return seconds, least, spent.reshape(*shape, 2, len(KERNEL_PARTS), 2)


def item_flop_s(item, scenario):
    """Seconds of an item's arithmetic at the peak."""
    if isinstance(item.work, (AbstractMessage, Stream)):
        return jnp.zeros_like(item.count * 1.0)
    fit, chip = getattr(scenario.kernels, item.role), scenario.hardware.chip
    peak = one_peak_flop_per_s(fit.peak, fit.multiprocessors, chip) * chip.multiprocessors
    return item.work.flop / peak


def item_least_s(item, scenario):
    if isinstance(item.work, AbstractMessage):
        return least_s(item.work, scenario.hardware)
    return bound_s(item.work, getattr(scenario.kernels, item.role), scenario.hardware.chip)


@pytest.mark.parametrize("model", MODELS)
def test_no_pass_beats_the_datasheet(model):
    """Steps, prompts and both together take what their flop and bytes do, or longer."""
    seconds, least, _ = passes(model)
    assert (least > 0.0).all()
    assert (seconds >= least * SLACK).all()


@pytest.mark.parametrize("model", MODELS)
def test_no_engine_beats_the_ideal_one(model):
    seconds, _, _ = passes(model)
    assert (seconds[:, :, 1:] >= seconds[:, :, :1] * SLACK).all()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("wide", "narrow"), [(0, 1), (0, 2), (1, 2)])
def test_a_narrower_format_is_slower_only_where_kernels_are(model, wide, narrow):
    """A pass takes at most what it takes in the wider format times the worst of its kernels.

    Of parts whose kernels were measured slower in the narrower format, by as much as they were.
    """
    seconds, _, spent = passes(model)
    few = EVERY.index("ideal")
    before, after = spent[:, wide, few], spent[:, narrow, few]
    ratio = np.where(before > 0.0, after / np.where(before > 0.0, before, 1.0), 1.0)
    allowed = np.maximum(ratio.max(axis=(-2, -1)), 1.0)  # [chip, batch, pass]
    taken = seconds[:, narrow, :, :, :2] / seconds[:, wide, :, :, :2]
    assert (taken * SLACK <= allowed[:, None]).all()
    assert (taken < 0.9).mean() > 0.1  # narrower formats are faster somewhere


def test_no_engine_has_a_factor_that_beats_kernels():
    """By construction, in every fit of the catalogue: the lower limits of the fitted numbers."""
    ideal = load_engine("ideal").engine
    assert float(ideal.launch_factor) == LEAST_LAUNCH
    for name in ENGINES:
        for chip in CHIPS:
            for model in (*MODELS, "gpt-oss-120b", "qwen3.5-397b-a17b"):
                card = load_engine(name, chip, load_model(model))
                for free in FREE:
                    record = card.engine if hasattr(card.engine, free.name) else card.serving
                    assert getattr(record, free.name) >= free.low


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("less", "more"), [("h100", "h200"), ("b200", "b300")])
def test_the_same_chip_with_more_memory_is_not_slower(model, less, more):
    """Where bandwidth grows with it, steps that memory binds are faster."""
    seconds, _, _ = passes(model)
    before, after = seconds[CHIPS.index(less)], seconds[CHIPS.index(more)]
    few = after[..., 0] / before[..., 0]
    grows = bandwidth(more) / bandwidth(less)
    if grows > 1.01:
        assert few[:, 0].max() < 1.0  # kernels alone
    assert np.median(few) < 1.02
