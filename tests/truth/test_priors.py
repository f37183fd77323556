"""Priors come from how much fits differ, and the file has what the calibrations give."""

import numpy as np
import pytest

from jaxsim.catalog.calibration import Calibration, Family
from jaxsim.catalog.priors import load_priors
from jaxsim.truth.kernels.priors import SETTLED, measured, spreads


def _calibration(value, deviation, kind="fitted"):
    constants, covariance = {"tile_s": value}, ((deviation**2,),)
    family = Family(constants, 0.1, "own", free=("tile_s",), covariance=covariance)
    sources: dict[str, dict[str, object]] = {"own": {"kind": kind}}
    return Calibration("chip", "a chip", 100.0, {"gemm": {"bf16": family}}, sources)


def test_the_spread_is_that_of_settled_fits():
    values = (1e-6, 2e-6, 3e-6, 5e-6)
    own = [_calibration(value, 0.1) for value in values]
    others = [_calibration(1.0, SETTLED * 1.1), _calibration(1.0, 0.1, "assumed")]
    default, by_name = spreads([*own, *others])
    expected = float(np.std(np.log(values), ddof=1))
    assert by_name == {"tile_s": pytest.approx(expected)}
    assert default == pytest.approx(expected)


def test_the_file_is_what_the_calibrations_give():
    """Within a factor of 1.5: run `python -m jaxsim.truth.kernels.priors` after fitting anew."""
    default, by_name = spreads(measured())
    result = load_priors()
    assert result.log_sigma == pytest.approx(default, rel=0.5)
    for name, sigma in by_name.items():
        assert result.of(name) == pytest.approx(max(sigma, 0.02), rel=0.5), name
    assert result.source("wave_power") == "derived"
    assert result.source("nothing") == "assumed"
