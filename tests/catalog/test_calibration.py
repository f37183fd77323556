"""Calibration files: whole, sourced, refused with file and key otherwise; transfers widen."""

import math
import tomllib
from pathlib import Path

import pytest

from jaxsim.catalog.calibration import (
    DATA,
    FORMATS,
    KINDS,
    families_of,
    fit_of,
    list_calibrations,
    load_calibration,
    of_engine,
    read_calibration,
    resolve_kernels,
)
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.fits import DecodeAttentionFit, GemmFit
from jaxsim.catalog.names import list_hardware
from jaxsim.catalog.precision import Precision
from tests.narrow import of

FITTED = [
    name
    for name in list_calibrations()
    if "transferred_from"
    not in (tomllib.loads((DATA / f"{name}.toml").read_text(encoding="utf-8")))
]


@pytest.fixture
def text() -> str:
    return (DATA / "h100.toml").read_text(encoding="utf-8")


def refused(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=match) as caught:
        read_calibration(path)
    assert "own.toml" in str(caught.value)


@pytest.mark.parametrize("name", list_calibrations())
def test_every_calibration_is_whole(name):
    """All families and formats, each with a source, a date and a spread that is neither 0 nor 2."""
    calibration = load_calibration(name)
    assert calibration.multiprocessors > 0
    for kind in KINDS:
        for number_format in FORMATS.get(kind, ("any",)):
            family = calibration.family(kind, number_format)
            assert 0.01 < family.sigma < 1.0
            assert family.source in calibration.sources


@pytest.mark.parametrize("name", FITTED)
def test_fits_say_what_they_were_fitted_to(name):
    """Rows, errors on shapes they never saw, and a covariance of what was fitted."""
    assert (DATA / f"{name}.toml").stat().st_size < 60_000
    calibration = load_calibration(name)
    for family in (calibration.family("gemm", "fp8"), calibration.family("decode", "bf16")):
        assert family.rows > 1000
        assert family.errors["n"] > 1000
        assert family.errors["mean"] >= family.errors["median"] > 0
        assert len(family.covariance) == len(family.free) > 10
        assert all(row[-1] > 0 for row in family.covariance)


def test_every_accelerator_has_one():
    assert set(list_hardware()) <= set(list_calibrations())


def test_formats_select_fits():
    """Each role has the family and the peak that its format asks for."""
    calibration = load_calibration("b200")
    precision = Precision(attention="fp8_block", experts="nvfp4", kv="fp8", attention_math="fp8")
    kernels = resolve_kernels(calibration, precision)
    assert families_of(precision)["experts"] == ("experts", "nvfp4")
    assert (kernels.experts.peak.fp4, kernels.experts.peak.bf16) == (1.0, 0.0)
    gemm = of(GemmFit, fit_of(calibration, "gemm", "fp8_block"))
    assert kernels.attention_gemm.launch_s == gemm.launch_s
    decode = of(DecodeAttentionFit, fit_of(calibration, "decode", "fp8"))
    assert kernels.decode.hbm_frac == decode.hbm_frac
    assert kernels.context.peak.fp8 == 1.0


def test_peaks_can_be_tied_to_another_chip():
    kernels = resolve_kernels(load_calibration("b200"), Precision(), multiprocessors=100.0)
    assert kernels.ffn_gemm.multiprocessors == 100.0


def test_a_transfer_is_less_sure():
    """Constants are taken over, but for tile starts, which go with the multiprocessors."""
    origin, own = load_calibration("h100"), load_calibration("h20")
    a, b = origin.family("gemm", "fp8"), own.family("gemm", "fp8")
    assert b.sigma == pytest.approx(math.hypot(a.sigma, 0.2))
    assert b.constants["peak_frac"] == a.constants["peak_frac"]
    ratio = own.multiprocessors / origin.multiprocessors
    assert b.constants["tile_s"] == pytest.approx(a.constants["tile_s"] * ratio)
    assert own.sources[b.source]["kind"] == "assumed"


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(InputError, match=r"b20.*b200"):
        load_calibration("b20")


def test_refusals(tmp_path, text):
    """Each with the file and the key."""
    refused(tmp_path, text.replace("hbm_frac =", "hbm_fraction =", 1), "did you mean 'hbm_frac'")
    first = next(line for line in text.splitlines() if line.startswith("launch_s"))
    refused(tmp_path, text.replace(first, "", 1), r"constants.launch_s: is missing")
    refused(tmp_path, text.replace(first, "launch_s = -1e-6", 1), "launch_s: is -1e-06")
    refused(tmp_path, text.replace(first, "launch_s = nan", 1), "launch_s: is nan")
    refused(tmp_path, text.replace(first, 'launch_s = "fast"', 1), "a number is needed")
    refused(tmp_path, text.replace('source = "gemm"', 'source = "rumour"', 1), "not in .sources.")
    refused(tmp_path, text.replace("date = ", "day = ", 1), "did you mean 'date'")
    refused(tmp_path, text.replace("[gemm.bf16]", "[gemm.bf17]", 1), r"gemm.*bf17")
    refused(tmp_path, text.replace('arithmetic = "bf16"', 'arithmetic = "fp2"', 1), "one of fp4")
    refused(tmp_path, text.replace("covariance = [\n  [", "covariance = [\n  [1, ", 1), "triangle")
    refused(tmp_path, text.replace("multiprocessors = 132", "", 1), "multiprocessors: is missing")
    refused(tmp_path, text + "\n[broken", "not valid TOML")
    refused(
        tmp_path,
        'transferred_from = "h100"\n' + 'title = "x"\nmultiprocessors = 1\n[sources]',
        "needs it",
    )


def test_an_engine_has_its_own_kernels_where_they_were_measured_apart():
    """Prompts of sparse attention with TensorRT-LLM on Hopper; all else as most engines run it."""
    calibration = load_calibration("h200")
    own = of_engine(calibration, "trtllm")
    assert own.family("dsa_context") == calibration.family("dsa_context", "trtllm")
    assert own.family("dsa_decode") == calibration.family("dsa_decode")
    assert of_engine(calibration, "sglang") is calibration
    assert of_engine(load_calibration("b200"), "trtllm") is load_calibration("b200")
