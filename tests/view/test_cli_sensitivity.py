"""`jaxsim sensitivity`: text, JSON, files, and refusals."""

import json

import numpy as np
import pytest
import xarray as xr

import jaxsim
from jaxsim.view import cli
from jaxsim.view.sensitivity_text import render_sensitivity
from jaxsim.view.text import Page

ASK = [
    "sensitivity", "deepseek-r1", "--hardware", "gb200-nvl72", "--isl", "16384", "--osl", "2048",
    "--tp", "1", "--ep", "32,64", "--pp", "1", "--batch", "2048,4096,8192",
    "--prefill-batch", "4,16", "--chunk", "16384",
]  # fmt: skip
TARGETS = ["--ftl", "8s", "--ttl", "50ms"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("why")


@pytest.fixture(scope="module")
def asked(folder):
    return [
        *ASK, *TARGETS, "--kind", "disaggregated", "--levers", "1",
        "-o", str(folder),
    ]  # fmt: skip


def test_json_and_files(asked, folder, capsys):
    """One object on standard output; a dataset whose variables say what they are."""
    assert cli.main([*asked, "--format", "json"]) == cli.OK
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "jaxsim.sensitivity/1"
    assert found["kind"] == "disaggregated"
    sizes = [abs(own["elasticity"]) for own in found["inputs"]]
    assert sizes == sorted(sizes, reverse=True)
    assert {own["title"] for own in found["levers"]} >= {"HBM capacity"}
    shares = found["uncertainty"]["shares"]
    assert sum(share["linear"] for share in shares) == pytest.approx(1.0)
    parts = found["resources"]["decode"]["parts"]
    total = sum(sum(own.values()) for own in parts.values())
    assert total == pytest.approx(found["resources"]["decode"]["total_s"])
    written = {path.name for path in folder.iterdir()}
    assert written == {"sensitivity.json", "sensitivity.nc", "tornado.png", "resources.png"}
    with xr.open_dataset(folder / "sensitivity.nc") as data:
        assert np.isfinite(data["elasticity"]).all()
        assert np.isfinite(data["lever_elasticity"]).all()
        assert data["seconds"].attrs["units"] == "s"
        assert data["seconds"].dims == ("pool", "ttl_s", "part", "resource")


@pytest.fixture(scope="module")
def found():
    """A sensitivity with every section, solved once."""
    space = jaxsim.Space(
        tp=(1,), ep=(32, 64), pp=(1,), batch=(2048, 4096, 8192), chunk=(16384,),
        prefill_batch=(4, 16),
    )  # fmt: skip
    return jaxsim.sensitivity(
        "deepseek-r1", "gb200-nvl72", jaxsim.Workload(isl=16384.0, osl=2048.0),
        ftl_s=8.0, ttl_s=0.05, space=space, kind="disaggregated", levers=2, reach="+2%",
        what_if=("hbm_bytes_per_s=+20%",), ranges=("imbalance=1..1.2",), domains=False,
    )  # fmt: skip


@pytest.mark.parametrize("width", [40, 80, 110])
def test_text(found, width):
    """Every section, and no line much wider than the page where that is 80 columns or more."""
    text = render_sensitivity(found, Page(width=width))
    for heading in (
        "What if", "What a little more is worth", "Whole steps", "What the time waits for",
        "Inputs by their elasticity", "How sure", "is limited by", "What would change the answer",
    ):  # fmt: skip
        assert heading in text
    assert "nan" not in text.lower()
    if width >= 80:
        assert max(map(len, text.splitlines())) <= width + 4


def test_unmet_targets(capsys):
    assert cli.main([*ASK, "--ftl", "1ms", "--ttl", "1ms"]) == cli.UNMET
    assert "No " in capsys.readouterr().err


def test_bad_changes(capsys):
    assert cli.main([*ASK, *TARGETS, "--what-if", "nothing=+20%"]) == cli.BAD_INPUT
    assert "is no input" in capsys.readouterr().err
