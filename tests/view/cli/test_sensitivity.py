"""`jaxsim sensitivity`: text, JSON, files, and refusals."""

import functools

import numpy as np
import pytest
import xarray as xr

import jaxsim
from jaxsim.space.sensitivity import inverse_requests
from jaxsim.space.sensitivity.cheapest import cheapest
from jaxsim.space.sensitivity.chips import best_chips
from jaxsim.view.cli import main as cli
from jaxsim.view.files.sensitivity import sensitivity_dict
from jaxsim.view.text.layout import Page
from jaxsim.view.text.plain_json import dumps
from jaxsim.view.text.sensitivity import render_sensitivity
from tests.view.written import checked

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
def arguments(folder):
    return [
        *ASK, *TARGETS, "--kind", "disaggregated", "--levers", "1",
        "-o", str(folder),
    ]  # fmt: skip


def test_json_and_files(arguments, folder, capsys):
    """One object on standard output; a dataset whose variables say what they are."""
    assert cli.main([*arguments, "--format", "json"]) == cli.OK
    result = checked("sensitivity", capsys.readouterr().out)
    assert result["schema"] == "jaxsim.sensitivity/1"
    assert result["kind"] == "disaggregated"
    sizes = [abs(own["elasticity"]) for own in result["inputs"]]
    assert sizes == sorted(sizes, reverse=True)
    assert {own["title"] for own in result["levers"]} >= {"HBM capacity"}
    shares = result["uncertainty"]["shares"]
    assert sum(share["linear"] for share in shares) == pytest.approx(1.0)
    assert len(result["uncertainty"]["worth_measuring"]) == 3
    assert all(own["kind"] for own in result["uncertainty"]["rest_on_priors"])
    parts = result["resources"]["decode"]["parts"]
    total = sum(sum(own.values()) for own in parts.values())
    assert total == pytest.approx(result["resources"]["decode"]["total_s"])
    written = {path.name for path in folder.iterdir()} - {"run.yaml"}
    assert written == {"sensitivity.json", "sensitivity.nc", "tornado.png", "resources.png"}
    with xr.open_dataset(folder / "sensitivity.nc") as data:
        assert np.isfinite(data["elasticity"]).all()
        assert np.isfinite(data["lever_elasticity"]).all()
        assert data["effect"].dims == ("moved", "factor")
        assert np.isfinite(data["effect"].sel(factor=2.0)).all()
        assert any("ep: " in step for step in data["step"].values)
        assert data["price_solved_tokens_per_s_per_gpu"].sel(limit="TTL target") >= 0.0
        assert all(v.attrs.keys() >= {"units", "long_name"} for v in data.data_vars.values())
        assert data["seconds"].attrs["units"] == "s"
        assert data["seconds"].dims == ("pool", "ttl_s", "part", "resource")


@pytest.fixture(scope="module")
def result():
    """A sensitivity with every section, solved once."""
    space = jaxsim.Space(
        tp=(1,), ep=(32, 64), pp=(1,), batch=(2048, 4096, 8192), chunk=(16384,),
        prefill_batch=(4, 16),
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patched:  # coarser moves are as good to be shown
        for search in (best_chips, cheapest):
            coarse = functools.partial(search, smallest=0.3)
            patched.setattr(inverse_requests, search.__name__, coarse)
        return jaxsim.sensitivity(
            "deepseek-r1", "gb200-nvl72", jaxsim.Workload(isl=16384.0, osl=2048.0),
            jaxsim.SensitivityRequest(
                kind="disaggregated", levers=2, reach=jaxsim.Times(1.02),
                what_if=[{"hbm_bytes_per_s": jaxsim.Times(1.2)}], ranges={"imbalance": (1.0, 1.2)},
                domains=False, chips={"cost": 1.05}, crossovers=[("isl", 2048, 8192)],
            ),
            ftl_s=8.0, ttl_s=0.05, space=space,
        )  # fmt: skip


@pytest.mark.parametrize("width", [40, 80, 110])
def test_text(result, width):
    """Every section, and no line much wider than the page where that is 80 columns or more."""
    text = render_sensitivity(result, Page(width=width))
    for heading in (
        "What if", "What a little more is worth", "Whole steps", "What the time waits for",
        "Inputs by their elasticity", "How sure", "is limited by",
        "What would change the throughput",
        "Cheapest of", "The best chips within cost +5 %", "Where disaggregation pays, by ISL",
        "--prior", "│",
    ):  # fmt: skip
        assert heading in text
    assert "nan" not in text.lower()
    if width >= 80:  # where columns keep their titles in a line
        for title in ("prefill chip", "decode chip", "by the elasticity"):
            assert title in text
        assert max(map(len, text.splitlines())) <= width + 4


def test_inverse_questions_as_json(result):
    """Chips, the cheapest change and crossovers, without a number that JSON lacks."""
    own = checked("sensitivity", dumps(sensitivity_dict(result)))
    assert own["cheapest"]["cost"] > 0.0
    pools, both = own["chips"]
    assert set(pools["factors"]) == {"prefill", "decode"}
    assert set(both["factors"]) == {"all"}
    assert max(pools["used"]["prefill"].values()) <= 1.05 + 1e-9
    assert own["chip_budget"]["most"] == {"cost": pytest.approx(1.05), "power": 1.0, "area": 1.0}
    assert {source["kind"] for source in own["chip_budget"]["sources"].values()} == {"assumed"}
    assert own["crossovers"][0]["axis"] == "isl"
    assert len(own["crossovers"][0]["solved"]) >= 5


def test_help_teaches(capsys):
    assert cli.main(["sensitivity", "--help"]) == cli.OK
    text = capsys.readouterr().out
    for option in ("--chips", "--budget", "--part", "--crossover", "--reach", "--prior"):
        assert option in text


def test_unmet_targets(capsys):
    """What cannot be met, and the nearest that can."""
    assert cli.main([*ASK, "--ftl", "1ms", "--ttl", "1ms"]) == cli.UNMET
    assert "No " in capsys.readouterr().err
    assert cli.main([*ASK, "--ftl", "8s", "--ttl", "1ms"]) == cli.UNMET
    assert "nearest that can be met: TTL" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--budget", "cost=+10%"], "--chips"),
        (["--chips", "--part", "hbm_bytes_per_z=cost:3%"], "did you mean"),
        (["--crossover", "isl=9..3"], "the second larger"),
        (["--prior", "wave_powr=0.3"], "did you mean 'wave_power'"),
        (["--reach=-5%"], "ask for more"),
    ],
)
def test_bad_questions(options, message, capsys):
    assert cli.main([*ASK, *TARGETS, *options]) == cli.BAD_INPUT
    assert message in capsys.readouterr().err


def test_bad_changes(capsys):
    assert cli.main([*ASK, *TARGETS, "--what-if", "nothing=+20%"]) == cli.BAD_INPUT
    assert "is no input" in capsys.readouterr().err
