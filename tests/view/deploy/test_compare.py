"""Is a plan put beside AIConfigurator's designs, and are its files read right?"""

import pytest

from jaxsim.catalog.errors import InputError
from jaxsim.truth.read.aiconfigurator import EXCLUDED, read_designs
from jaxsim.truth.read.readers import read_rows
from jaxsim.view.cli.main import BAD_INPUT, OK, main
from tests.narrow import some
from tests.view.deploy.made import PLANS
from tests.view.written import checked

# Columns as AIConfigurator 0.12 writes them; numbers made up.
TOGETHER = """\
model,isl,osl,prefix,concurrency,ttft,tpot,seq/s,tokens/s/gpu,num_total_gpus,\
tp,pp,dp,moe_tp,moe_ep,gemm,moe,backend,version,system
meta-llama/Llama-3.1-70B,4096,512,0,64,600,25,4,511,4,4,1,1,1,1,fp8,fp8,vllm,0.24.0,h200_sxm
meta-llama/Llama-3.1-70B,4096,512,0,256,900,60,5,640,4,4,1,1,1,1,fp8,fp8,vllm,0.24.0,h200_sxm
"""
APART = """\
model,isl,osl,prefix,concurrency,(p)workers,(d)workers,ttft,tpot,seq/s,tokens/s/gpu,\
num_total_gpus,(p)tp,(p)pp,(p)dp,(p)moe_tp,(p)moe_ep,(p)gemm,(p)moe,(p)backend,(p)version,(p)system,\
(d)tp,(d)pp,(d)dp,(d)moe_tp,(d)moe_ep,(d)gemm,(d)moe,(d)backend,(d)version,(d)system
meta-llama/Llama-3.1-70B,4096,512,1024,256,3,2,700,20,10,731.4,7,1,1,1,1,1,fp8,fp8,vllm,0.24.0,\
h200_sxm,2,1,1,1,1,fp8,fp8,vllm,0.24.0,h200_sxm
"""


@pytest.fixture
def folder(tmp_path):
    for name, text in (("agg", TOGETHER), ("disagg", APART)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pareto.csv").write_text(text)
    return tmp_path


def test_designs_are_read_as_they_are_meant(folder):
    rows = read_designs(folder)
    assert [row.mode for row in rows] == ["colocated", "colocated", "disaggregated"]
    first, apart = rows[0], rows[-1]
    assert (first.ttft_s, first.tpot_s, first.gpus) == (0.6, 0.025, 4.0)
    # Of its requests/s: AIConfigurator's own tokens/s/gpu leaves a first token out.
    assert first.output_tokens_per_s_per_gpu == 4 * 512 / 4
    assert (some(apart.prefill).workers, some(apart.decode).tp, apart.gpus) == (3.0, 2.0, 7.0)
    assert apart.hit_frac == 0.25
    assert {row.excluded for row in rows} == {EXCLUDED}
    assert read_rows(folder / "agg" / "pareto.csv") == rows[:2]


def test_what_does_not_add_up_is_said(folder):
    path = folder / "agg" / "pareto.csv"
    path.write_text(TOGETHER.replace(",4,4,1,1,1,1,", ",8,4,1,1,1,1,"))
    assert read_designs(path)[0].refused == "its widths make 4 GPUs, and it states 8"
    path.write_text(TOGETHER.replace(",4,4,1,1,1,1,", ",4,4,1,2,4,2,"))
    assert "experts split" in read_designs(path)[0].refused
    path.write_text(TOGETHER.replace("moe_ep", "moe_eq"))
    with pytest.raises(InputError, match="has not the columns"):
        read_designs(path)
    empty = folder / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match=r"holds no pareto\.csv"):
        read_designs(empty)


def test_side_by_side(folder, capsys):
    plan = str(PLANS / "dense.json")
    assert main(["compare", plan, str(folder), "--format", "json"]) == OK
    result = checked("compare", capsys.readouterr().out)
    kinds = {(e["kind"], e["found_by"], e["by"]) for e in result["entries"]}
    ours, theirs = "jaxsim", "AIConfigurator"
    for kind in ("disaggregated", "colocated"):
        assert {(kind, theirs, theirs), (kind, theirs, ours)} <= kinds
    assert ("disaggregated", ours, ours) in kinds
    # The second co-located design misses the TTL target of the plan.
    assert result["within_targets"] == {"disaggregated": 1, "colocated": 1}
    best = next(e for e in result["entries"] if e["kind"] == "colocated" and e["by"] == theirs)
    assert (best["tpot_s"], best["design"]) == (0.025, "1 × TP 4")
    assert main(["compare", plan, str(folder)]) == OK
    assert "nothing here was measured" in capsys.readouterr().out.replace("\n", " ")


def test_other_lengths_and_models_are_refused(folder, capsys):
    path = folder / "agg" / "pareto.csv"
    for old, new, message in (
        (",4096,512,", ",4096,256,", "have input and output lengths 4096/256"),
        ("meta-llama/Llama-3.1-70B", "Qwen/Qwen3-32B", "designs are of qwen3-32b"),
    ):
        path.write_text(TOGETHER.replace(old, new))
        assert main(["compare", str(PLANS / "dense.json"), str(path)]) == BAD_INPUT
        assert message in capsys.readouterr().err.replace("\n", " ")
