"""The catalogue: every datum has a source, every name resolves, every mistake is explained."""

import dataclasses
import datetime
import math
import subprocess
import sys
import tomllib

import jax
import jax.numpy as jnp
import pytest

from jaxsim.catalog import names
from jaxsim.catalog.cards import emulated_classes, with_domain
from jaxsim.catalog.checkpoints import checkpoint_of
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.load import (
    ATTENTION,
    FFN,
    list_hardware,
    list_models,
    list_precisions,
    load_hardware,
    load_model,
    load_precision,
    override_precision,
)
from jaxsim.catalog.model import GQA, MLA, AbstractAttention, AbstractFFN, SparseMLA
from jaxsim.catalog.setup import setup_of
from tests.narrow import of

# What a value of the catalogue may be, as its files document it.
KINDS = ("spec", "measured", "fitted", "assumed", "derived")
MINIMAL = """
full_name = "Test part"
vendor = "Tests"
from = "test"
gpus_per_node = 8
domain_gpus = 8
price_usd_per_hour = 1.0
power_w = 500
[chip]
multiprocessors = 100
hbm_bytes = 8e10
hbm_bytes_per_s = 2e12
[chip.peak]
bf16_flop_per_s = 1e15
[scaleup]
bytes_per_s = 4e11
latency_s = 1e-6
[scaleout]
bytes_per_s = 5e10
latency_s = 5e-6
[sources.test]
kind = "assumed"
source = "Made up"
date = 2026-01-01
"""


def numbers(record):
    """How many numbers a record has."""
    return len(jax.tree.leaves(record))


@pytest.mark.parametrize("name", list_models())
def test_every_number_of_a_model_has_a_source(name):
    card = load_model(name)
    sections = ("model.", "attention.", "ffn.", "groups[")
    keys = [key for key in card.provenance if key.startswith(sections)]
    kinds = {repr(group.attention) for group in card.model.groups}
    assert len(keys) >= 3 + len(card.model.groups) + sum(1 for _ in kinds)
    for key, datum in card.provenance.items():
        assert datum.kind in KINDS, key
        assert len(datum.source) > 8, key
        assert isinstance(datum.date, datetime.date), key
    assert card.max_context_tokens >= 4096
    assert all(math.isfinite(x) or x == math.inf for x in jax.tree.leaves(card.model))


@pytest.mark.parametrize("name", list_hardware())
def test_every_number_of_hardware_has_a_source(name):
    card = load_hardware(name)
    own = [key for key in card.provenance if not key.startswith("alternatives.")]
    assert len(own) == numbers(card.hardware) + 1  # and gpus_per_node
    for key, datum in card.provenance.items():
        assert datum.kind in KINDS, key
        assert len(datum.source) > 8, key
        assert isinstance(datum.date, datetime.date), key
    peak = card.hardware.chip.peak
    assert peak.bf16_flop_per_s <= peak.fp8_flop_per_s <= peak.fp4_flop_per_s
    if "fp4" not in card.arithmetic:
        assert card.provenance["chip.peak.fp4_flop_per_s"].kind == "derived"


def test_every_datum_of_the_presets_has_a_source():
    cards = [load_model(name) for name in ("deepseek-r1", "llama-3.1-70b", "qwen3-30b-a3b")]
    for preset in list_precisions():
        for card in cards:
            load_precision(preset, card)
    raw = tomllib.loads((names.DATA / "precisions.toml").read_text(encoding="utf-8"))
    for preset, tables in raw["presets"].items():
        assert set(tables) <= {"all", "moe", "block_scaled", "latent"}, preset
        named = set(cards[0].precision.formats) - {"attention_out"}  # as the others, unless named
        assert set(tables["all"]) == named, preset


def test_kinds_of_layer_can_all_be_written_in_a_file():
    def kinds(base):
        below = set(base.__subclasses__())
        own = {kind for kind in below if not kind.__name__.startswith("Abstract")}
        return own.union(*(kinds(kind) for kind in below))

    assert set(ATTENTION.values()) == kinds(AbstractAttention)
    assert set(FFN.values()) == kinds(AbstractFFN)


@pytest.mark.parametrize("section", ["models", "hardware"])
def test_every_alias_leads_to_an_entry_and_hides_none(section):
    raw = tomllib.loads((names.DATA / "names.toml").read_text(encoding="utf-8"))
    known = set(list_models() if section == "models" else list_hardware())
    assert set(raw[section].values()) <= known
    assert not set(raw[section]) & known
    assert not set(raw["unsupported"]) & (set(raw["models"]) | known)


@pytest.mark.parametrize(
    ("given", "name", "experts"),
    [
        ("deepseek-ai/DeepSeek-R1", "deepseek-r1", "fp8_block"),
        ("DeepSeek-R1-0528", "deepseek-r1", "fp8_block"),
        ("nvidia/DeepSeek-R1-FP4", "deepseek-r1", "nvfp4"),
        ("nvidia/DeepSeek-R1-0528-FP4-v2", "deepseek-r1", "nvfp4"),
        ("deepseek-r1", "deepseek-r1", "fp8_block"),
        ("meta-llama/Meta-Llama-3.1-405B-Instruct", "llama-3.1-405b", "bf16"),
        ("llama3.1-405b", "llama-3.1-405b", "bf16"),
        ("llama2-70b-99.9", "llama-2-70b", "bf16"),
        ("Qwen/Qwen3-235B-A22B-Instruct-2507-FP8", "qwen3-235b-a22b", "fp8_block"),
        ("openai/gpt-oss-120b", "gpt-oss-120b", "mxfp4"),
        ("Kimi K2.5", "kimi-k2.5", "int4"),
    ],
)
def test_models_are_found_as_people_write_them(given, name, experts):
    card = load_model(given)
    assert (card.name, card.precision.experts) == (name, experts)


@pytest.mark.parametrize("name", list_models())
def test_a_model_is_found_by_its_hub_id(name):
    assert load_model(load_model(name).hf_id).name == name


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("B200 SXM", "b200"),
        ("b200_sxm", "b200"),
        ("GB200 NVL72", "gb200-nvl72"),
        ("gb300", "gb300-nvl72"),
        ("RTX PRO 6000 Server", "rtx-pro-6000"),
        ("MI355X", "mi355x"),
    ],
)
def test_hardware_is_found_as_people_write_it(given, name):
    assert load_hardware(given).name == name


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(InputError, match=r"'deepsek-r1'.*Nearest known: deepseek-r1"):
        load_model("deepsek-r1")
    with pytest.raises(InputError, match=r"'gb200-nvl27'.*Nearest known: gb200-nvl72"):
        load_hardware("gb200-nvl27")
    with pytest.raises(InputError, match=r"'nvpf4'.*Nearest known: nvfp4"):
        load_precision("nvpf4", load_model("deepseek-r1"))


@pytest.mark.parametrize("name", names.unsupported_models())
def test_models_that_no_record_expresses_are_refused_with_the_reason(name):
    with pytest.raises(InputError, match=r"known but not supported: .{20}"):
        load_model(name)


def test_names_are_listed_without_jax():
    code = (
        "import sys; from jaxsim.catalog.names import list_models, list_hardware;"
        "assert 'deepseek-r1' in list_models() and 'gb200-nvl72' in list_hardware();"
        "assert not {'jax', 'xarray'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_lists_are_sorted():
    assert list_models() == sorted(list_models())
    assert list_hardware() == sorted(list_hardware())


# ---- files of one's own --------------------------------------------------------------------------


def own(tmp_path, text):
    path = tmp_path / "part.toml"
    path.write_text(text)
    return path


def test_hardware_is_read_from_a_file(tmp_path):
    card = load_hardware(own(tmp_path, MINIMAL))
    assert (card.name, card.calibration, card.arithmetic) == ("part", "h200", ("bf16",))
    peak = card.hardware.chip.peak
    assert peak.fp4_flop_per_s == peak.fp8_flop_per_s == peak.bf16_flop_per_s == 1e15
    assert card.provenance["chip.peak.fp4_flop_per_s"].kind == "derived"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "power_w = 500",
            "power_w = 500\npwer = 1",
            r"part\.toml: pwer: is not a known key.*power_w",
        ),
        ("power_w = 500", "", r"part\.toml: power_w: is missing"),
        (
            "hbm_bytes = 8e10",
            "hbm_bytes = -8e10",
            r"chip\.hbm_bytes: is -80000000000.0; .*more than 0",
        ),
        ("hbm_bytes = 8e10", "hbm_bytes = nan", r"chip\.hbm_bytes: is nan"),
        ("hbm_bytes = 8e10", "hbm_bytes = inf", r"chip\.hbm_bytes: is inf"),
        ("hbm_bytes = 8e10", "hbm_bytes = 0", r"chip\.hbm_bytes: is 0; it must be more than 0"),
        ("hbm_bytes = 8e10", 'hbm_bytes = "80 GB"', r"chip\.hbm_bytes: is '80 GB'; a number"),
        ("hbm_bytes = 8e10", "hbm_bytes = true", r"chip\.hbm_bytes: is True; a number"),
        ('from = "test"', "", r"chip\.peak\.\w+: has no source"),
        (
            'from = "test"',
            'from = "tset"',
            r"is from 'tset', which \[sources\] lacks; it has: test",
        ),
        ('kind = "assumed"', 'kind = "guessed"', r"sources\.test\.kind: is 'guessed'; allowed"),
        ("date = 2026-01-01", 'date = "today"', r"sources\.test\.date: must be a date"),
        ("date = 2026-01-01", "", r"sources\.test: lacks date"),
        ("bf16_flop_per_s = 1e15", "", r"chip\.peak\.bf16_flop_per_s: is missing"),
        ("[chip]", "[chip", r"not valid TOML"),
        ("power_w = 500", "power_w = { value = 5, why = 1 }", r"power_w: unknown 'why'"),
    ],
)
def test_a_bad_file_is_refused_with_file_and_key(tmp_path, old, new, message):
    assert old in MINIMAL
    with pytest.raises(InputError, match=message):
        load_hardware(own(tmp_path, MINIMAL.replace(old, new)))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.toml: no such file"):
        load_hardware(tmp_path / "nowhere.toml")
    with pytest.raises(InputError, match=r"config\.json: no such file"):
        load_model(tmp_path / "config.json")


def test_a_model_file_is_checked(tmp_path):
    text = (names.DATA / "models" / "deepseek-r1.toml").read_text(encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(text)
    assert load_model(path).model.hidden == 7168
    for old, new, message in [
        ("topk = 8", "topk = 800", r"ffn\.moe\.topk: exceeds the 256 experts"),
        ('kind = "MLA"', 'kind = "MHA"', r"attention\.latent\.kind: is 'MHA'; allowed are GQA"),
        ('ffn = "moe"', 'ffn = "more"', r"groups\[1\]\.ffn: is 'more'; the file has dense, moe"),
        ('experts = "fp8_block"', 'experts = "fp6"', r"precision\.experts: is 'fp6'; allowed are"),
        ("q_rank = 1536", "", r"attention\.latent\.q_rank: is missing"),
        ("heads = 128", "heads = 128\nkv_heads = 1", r"kv_heads: is not a known key"),
    ]:
        assert old in text
        path.write_text(text.replace(old, new))
        with pytest.raises(InputError, match=message):
            load_model(path)


# ---- cards ---------------------------------------------------------------------------------------


def test_records_of_unlike_names_can_be_stacked():
    def stacked(*records):
        return jax.tree.map(lambda *x: jnp.stack([jnp.asarray(v) for v in x]), *records)

    chips = stacked(load_hardware("h100").hardware, load_hardware("gb200-nvl72").hardware)
    assert chips.domain_gpus.tolist() == [8.0, 72.0]
    models = stacked(load_model("llama-3.1-8b").model, load_model("llama-3.1-405b").model)
    assert models.groups[0].layers.tolist() == [32.0, 126.0]
    moes = stacked(load_model("deepseek-r1").model, load_model("kimi-k2").model)
    assert moes.groups[1].ffn.experts.tolist() == [256.0, 384.0]


def test_a_domain_of_another_size():
    card = load_hardware("gb200-nvl72")
    small = with_domain(card, 8)
    assert small.hardware.domain_gpus == 8.0
    assert card.hardware.domain_gpus == 72.0
    assert small.hardware.chip == card.hardware.chip
    for gpus in (0, -1, math.nan, math.inf):
        with pytest.raises(InputError, match="scale-up domain"):
            with_domain(card, gpus)


def test_what_a_chip_must_emulate():
    nvfp4 = load_precision("nvfp4", load_model("llama-3.1-70b"))
    assert emulated_classes(nvfp4, load_hardware("b200")) == []
    assert emulated_classes(nvfp4, load_hardware("h200")) == [
        *("attention", "attention_out", "ffn", "experts")
    ]
    assert "attention_math" in emulated_classes(nvfp4, load_hardware("a100"))


def test_presets_follow_the_model():
    r1, llama = load_model("deepseek-r1"), load_model("llama-3.1-70b")
    assert load_precision("checkpoint", r1) == r1.precision
    assert load_precision("nvfp4", r1).attention == "bf16"
    assert load_precision("nvfp4", llama).attention == "nvfp4"
    assert load_precision("fp8", r1).experts == "fp8_block"
    assert load_precision("fp8", llama).ffn == "fp8"
    assert load_precision("int4", load_model("kimi-k2")).attention == "bf16"
    assert load_precision("study", r1).attention_math == "fp8"
    assert {load_precision(p, r1).head for p in list_precisions()} == {"bf16"}


def test_one_class_can_be_overridden():
    base = load_precision("nvfp4", load_model("deepseek-r1"))
    changed = override_precision(base, kv="bf16", attention_math="bf16")
    assert (changed.kv, changed.attention_math, changed.experts) == ("bf16", "bf16", "nvfp4")
    with pytest.raises(InputError, match=r"'kvv'.*Nearest known: kv"):
        override_precision(base, kvv="fp8")
    with pytest.raises(InputError, match=r"kv is 'fp7'; allowed are nvfp4"):
        override_precision(base, kv="fp7")
    with pytest.raises(InputError, match=r"attention_math is 'nvfp4'; allowed are fp4, fp8, bf16"):
        override_precision(base, attention_math="nvfp4")


def test_kinds_of_model():
    assert load_model("deepseek-r1").is_latent
    assert load_model("deepseek-r1").is_moe
    assert not load_model("llama-3.1-8b").is_latent
    assert not load_model("llama-3.1-8b").is_moe
    assert isinstance(load_model("deepseek-v3.1").model.groups[0].attention, MLA)
    assert isinstance(load_model("deepseek-v3.2").model.groups[0].attention, SparseMLA)
    oss = load_model("gpt-oss-120b").model
    assert sorted(of(GQA, g.attention).window_tokens for g in oss.groups) == [128.0, math.inf]
    maverick = load_model("llama-4-maverick").model
    assert [group.layers for group in maverick.groups] == [24.0, 12.0, 12.0]


@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm"])
@pytest.mark.parametrize("precision", ["bf16", "fp8"])
def test_who_borrows_kernels_is_not_surer_than_who_lends_them(engine, precision):
    """A chip of one's own with the calibration of an H200, under every engine."""
    lender = load_hardware("h200")
    borrower = dataclasses.replace(lender, name="mine", calibration="h200")
    own, lent = (
        setup_of("llama-3.1-8b", chip, precision, engine).engine for chip in (borrower, lender)
    )
    assert own.variant == "" != lent.variant
    assert own.log_sigma >= lent.log_sigma
    assert all(own.sigmas[name] >= sigma for name, sigma in lent.sigmas.items())


def test_the_cache_has_a_format_of_its_own():
    """After the preset's name; attention computes in it, servers are told of it, text says it."""
    card = load_model("llama-3.1-8b")
    usual, wide = load_precision("fp8", card), load_precision("fp8,kv=bf16", card)
    assert (usual.kv, wide.kv, wide.attention_math) == ("fp8", "bf16", "bf16")
    changed = {name for name, own in wide.formats.items() if own != usual.formats[name]}
    assert changed == {"kv", "attention_math"}
    with pytest.raises(InputError, match="Unknown KV cache 'int4'"):
        load_precision("fp8,kv=int4", card)
    default = setup_of(card, "h100", ",kv=fp8", "vllm")
    assert (default.precision_name, default.precision.kv) == ("checkpoint,kv=fp8", "fp8")
    assert any("vLLM keeps a KV cache in bf16 by default" in note for note in default.notes)
    assert not any("by default" in note for note in setup_of(card, "h100", "bf16", "vllm").notes)
    assert checkpoint_of(card, "fp8,kv=bf16", "vllm") == checkpoint_of(card, "fp8", "vllm")
