"""`jaxsim calibrate` refuses what cannot be fitted, and leaves nothing behind."""

import pytest

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
