"""`jaxsim validate`: what it prints, what it writes, what it refuses."""

import csv
import doctest
import json

import pytest

import jaxsim
from jaxsim.view.cli.main import main
from jaxsim.view.figures import measured
from tests.view.written import checked

COLUMNS = (
    "id,backend,model_path,system,mode,precision,isl,osl,concurrency,tp_size,pp_size,"
    "attention_dp_size,moe_tp_size,moe_ep_size,silicon_ttft_ms,silicon_tpot_ms"
)
ROWS = (
    "a,vllm,llama-3.1-8b,h100_sxm,agg,fp8,1024,256,4,1,1,1,1,1,60,6",
    "b,vllm,llama-3.1-8b,h100_sxm,agg,fp8,1024,256,16,1,1,1,1,1,90,8",
    "c,vllm,meta-llama/Llama-3.2-90B-Vision-Instruct,h100_sxm,agg,fp8,1024,256,4,8,1,1,1,1,60,6",
)


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("\n".join([COLUMNS, *ROWS]) + "\n")
    return path


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_json_on_standard_output_and_files_in_a_folder(table, tmp_path, capsys):
    folder = tmp_path / "out"
    assert main(["validate", str(table), "--format", "json", "-o", str(folder)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["coverage"]["rows"] == 3
    assert result["coverage"]["predicted"] == 2
    assert sum(result["coverage"]["reasons"].values()) == 1
    for measure in ("tpot", "ttft", "output_tokens_per_s_per_gpu"):
        assert set(result["overall"][measure]) == {
            "n",
            "median",
            "mean",
            "p90",
            "bias",
            "interval80",
        }
    group = result["groups"][0]
    assert (group["model"], group["gpu"], group["engine"]) == ("llama-3.1-8b", "h100", "vllm")
    with (folder / "rows.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 3
    for line in lines[:2]:
        assert float(line["tpot_s_low"]) < float(line["tpot_s_predicted"])
        assert float(line["tpot_s_predicted"]) < float(line["tpot_s_high"])
    assert "not supported" in lines[2]["reason"]
    assert (folder / "predicted.png").read_bytes().startswith(b"\x89PNG")
    assert checked("validation", folder / "validation.json") == result

    assert main(["validate", str(table)]) == 0
    text = capsys.readouterr().out
    assert "Predicted 2 of 3 rows" in text
    assert "llama-3.1-8b" in text


def test_bad_cells_are_bad_input(table, capsys):
    table.write_text(table.read_text().replace(",60,6", ",-60,6"))
    assert main(["validate", str(table), "--format", "json"]) == 2
    captured = capsys.readouterr()
    assert "line 2, column silicon_ttft_ms" in json.loads(captured.out)["error"]


def test_a_file_without_a_row_that_can_be_predicted(table, capsys):
    table.write_text("\n".join([COLUMNS, ROWS[2]]) + "\n")
    assert main(["validate", str(table)]) == 2
    assert "No row can be predicted" in capsys.readouterr().err


def test_the_example_of_the_picture_runs():
    assert doctest.testmod(measured, extraglobs={"jaxsim": jaxsim}).failed == 0
