"""`jaxsim calibrate` refuses what cannot be fitted, and leaves nothing behind."""

import pytest

from jaxsim.catalog.calibration import read_calibration
from jaxsim.catalog.names import DATA
from jaxsim.truth.kernels import calibrate
from jaxsim.view.cli.config import read_config
from jaxsim.view.cli.main import main

HEADER = "op,shape,dtype,gpu,metric,value,unit,url,kind,notes\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("op,shape,speed\ngemm,m=1,3\n", "speed"),
        (HEADER + "gemm,m=1;n=4096;k=4096,bf16,H200 SXM,latency,-3,us,u,measured,\n", "line 2"),
        (HEADER + "gemm,m=1;n=4096;k=4096,bf16,H200 SXM,latency,3,parsec,u,measured,\n", "parsec"),
    ],
)
def test_a_wrong_table_is_refused_with_its_place(text, says, tmp_path, capsys):
    table, out = tmp_path / "table.csv", tmp_path / "out.toml"
    table.write_text(text)
    assert main(["calibrate", str(table), "--chip", "h200", "-o", str(out)]) == 2
    error = capsys.readouterr().err
    assert "table.csv" in error
    assert says in error
    assert not out.exists()


def test_a_missing_source_and_an_unknown_chip_are_named(tmp_path, capsys):
    out = str(tmp_path / "out.toml")
    assert main(["calibrate", str(tmp_path / "none.txt"), "--chip", "h200", "-o", out]) == 2
    assert "none.txt" in capsys.readouterr().err
    assert main(["calibrate", "--chip", "h2000", "-o", out]) == 2
    assert "h200" in capsys.readouterr().err


def test_what_is_written_says_how_and_is_read_back_first(tmp_path, capsys, monkeypatch):
    """In one file, under its name only if it can be read; the fit itself is tested elsewhere."""
    table, out = tmp_path / "table.csv", tmp_path / "out.toml"
    run = ["calibrate", str(table), "--chip", "h200", "--output=~/out.toml"]  # no shell expands it
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(calibrate, "fitted_text", lambda *_, **__: "x = 1\n")
    assert main(run) == 2
    assert list(tmp_path.iterdir()) == []
    text = (DATA / "calibration" / "h200.toml").read_text()
    monkeypatch.setattr(calibrate, "fitted_text", lambda *_, **__: text)
    assert main(run) == 0
    assert out.read_text().endswith(text)
    assert read_calibration(out).family("gemm", "bf16")
    held = read_config(out)
    assert (held["verb"], held["source"], held["chip"]) == ("calibrate", str(table), "h200")
    assert "Wrote" in capsys.readouterr().out
