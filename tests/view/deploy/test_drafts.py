"""Do drafts and prefix hits of a plan reach its servers, their front, and what measures them?"""

import json
import shlex
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
import yaml

from jaxsim.catalog.errors import InputError
from jaxsim.catalog.setup import setup_of
from jaxsim.catalog.workload import Workload
from jaxsim.view.cli.main import BAD_INPUT, OK, build_parser, main
from jaxsim.view.cli.verbs.estimate import check_load, write_request
from jaxsim.view.deploy.aiconfigurator import design_request, request
from jaxsim.view.deploy.arguments import serve_options, trtllm_config
from jaxsim.view.deploy.measure import measure_files
from jaxsim.view.deploy.measured import stated_of
from jaxsim.view.deploy.plan_file import order_of
from jaxsim.view.deploy.registry import target_of
from jaxsim.view.deploy.shapes import check_drafts
from tests.narrow import some, untyped
from tests.view.deploy.made import HERE, plan_with, settings

AIC = json.loads((HERE / "schemas" / "aic-request.json").read_text())
SERVED = {"hit_frac": 0.25, "draft_tokens": 2, "accept_frac": 0.7, "images": 3}


@pytest.fixture(scope="module")
def speculating(tmp_path_factory):
    """The two recorded plans as they would be with drafts and prefix hits."""
    folder = tmp_path_factory.mktemp("plans")
    return {
        name: order_of(plan_with(folder, name, lambda raw: raw["workload"].update(SERVED)))
        for name in ("moe", "dense")
    }


def options_of(engine, order, role, **more):
    how = settings(engine, engine, order, **more)
    return dict(serve_options(order, order.pool(role), how))


def test_a_plan_keeps_what_is_served(speculating):
    result = speculating["moe"]
    assert (result.hit_frac, result.draft_tokens, result.accept_frac) == (0.25, 2, 0.7)
    assert result.images == 3
    assert result.cached == result.isl // 4
    said = stated_of(result)
    assert (said.hit_frac, said.draft_tokens, said.accept_frac) == (0.25, 2.0, 0.7)


def test_engines_draft_and_keep_prefixes(speculating):
    moe = speculating["moe"]
    vllm = options_of("vllm", moe, "prefill")
    drafts = json.loads(some(vllm["--speculative-config"]))
    assert drafts == {"method": "mtp", "num_speculative_tokens": 2}
    assert "--enable-prefix-caching" in vllm
    assert "--enable-prefix-caching" not in options_of("vllm", moe, "decode")
    sglang = options_of("sglang", moe, "decode")
    assert (sglang["--speculative-algorithm"], sglang["--speculative-num-draft-tokens"]) == (
        "NEXTN", "3",
    )  # fmt: skip
    trtllm = untyped(trtllm_config(moe, moe.pool("prefill"), settings("trtllm", "trtllm", moe)))
    assert trtllm["speculative_config"] == {"decoding_type": "MTP", "max_draft_len": 2}
    assert trtllm["kv_cache_config"]["enable_block_reuse"] is True
    # A step of a decode server has the drafts of every request.
    assert int(some(options_of("vllm", moe, "decode")["--max-num-batched-tokens"])) == 3 * 256


def test_a_model_without_layers_that_draft_needs_a_drafter(speculating):
    dense = speculating["dense"]
    with pytest.raises(InputError, match=r"no layers that draft \(MTP\).*--drafter"):
        check_drafts(dense, settings("vllm", "vllm", dense))
    check_drafts(dense, settings("vllm", "vllm", dense, drafter="a/head"))
    words = options_of("vllm", dense, "decode", drafter="a/head")
    drafts = json.loads(some(words["--speculative-config"]))
    assert (drafts["method"], drafts["model"]) == ("eagle3", "a/head")
    sglang = options_of("sglang", dense, "decode", drafter="a/head")
    assert sglang["--speculative-draft-model-path"] == "a/head"
    how = settings("trtllm", "trtllm", dense, drafter="a/head")
    trtllm = untyped(trtllm_config(dense, dense.pool("decode"), how))
    assert trtllm["speculative_config"] == {
        "decoding_type": "Eagle3", "max_draft_len": 2, "speculative_model": "a/head",
    }  # fmt: skip
    with pytest.raises(InputError, match="distserve cannot"):
        check_drafts(dense, settings("distserve", "vllm", dense))
    with pytest.raises(InputError, match="does not speculate"):
        check_drafts(replace(dense, draft_tokens=0), how)


def test_the_front_sends_prompts_to_where_their_prefix_is(speculating):
    moe = speculating["moe"]

    def files(target, engine):
        return target_of(target).files(moe, settings(target, engine, moe))

    graph = list(yaml.safe_load_all(files("dynamo", "sglang")["graph.yaml"]))[-1]
    front = graph["spec"]["components"][0]["podTemplate"]["spec"]["containers"][0]["args"]
    assert front[-2:] == ["--router-mode", "kv"]
    assert "--prefill-policy cache_aware" in files("sglang", "sglang")["router.sh"]
    disaggregated = yaml.safe_load(files("trtllm", "trtllm")["disagg_config.yaml"])
    assert disaggregated["context_servers"]["router"]["type"] == "kv_cache_aware"


def test_clients_send_prompts_with_one_beginning(speculating):
    dense = speculating["dense"]
    files = measure_files(dense, settings("vllm", "vllm", dense))

    def option(tool, name):
        text = files[f"measure/{tool}.sh"]
        words = shlex.split(text[text.index("exec ") :].replace("\\\n", " "))
        return words[words.index(name) + 1]

    shared, rest = "1024", "3072"
    assert (option("aiperf", "--prefix-prompt-length"), option("aiperf", "--isl")) == (shared, rest)
    bench = "vllm-bench"
    assert option(bench, "--random-prefix-len") == shared
    assert option(bench, "--random-input-len") == rest
    assert f"prefix_tokens={shared}" in option("guidellm", "--data")
    config = yaml.safe_load(files["measure/inference-perf.yaml"])["data"]
    assert config["type"] == "shared_prefix"
    assert config["shared_prefix"]["system_prompt_len"] == 1024


def test_requests_for_aiconfigurator_fit_its_schema(speculating):
    made = untyped(request(speculating["moe"], "trtllm", "a/b"))
    jsonschema.validate(made, AIC)
    assert made["model"]["nextn_accepted"] == pytest.approx(0.7 + 0.7**2)
    assert made["workload"]["prefix"] == speculating["moe"].cached
    setup = setup_of("deepseek-r1", "h200", "fp8", "sglang")
    work = Workload(4096.0, 512.0, hit_frac=0.25, draft_tokens=1.0, accept_frac=0.8)
    for phase, kind in (("prefill", "disagg"), ("decode", "disagg"), ("colocated", "agg")):
        one: Any = design_request(setup, phase, work, tp=1, ep=16, pp=1, batch=512)
        jsonschema.validate(one, AIC)
        own = one["topology"]["worker" if kind == "agg" else phase]
        assert (one["topology"]["kind"], own["batch_size"], own["attention_dp_size"]) == (
            kind, 32, 16,
        )  # fmt: skip
    with pytest.raises(InputError, match="not ideal"):
        design_request(setup_of("deepseek-r1", "h200", "fp8", "ideal"), "decode", work, 1, 8, 1, 8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"draft_tokens": 1.5}, "not a whole number"),
        ({"hit_frac": 2.0}, "not a fraction"),
        ({"images": 1.5}, "images: 1.5 is not a whole number"),
        ({"mix": [{"isl": 8, "osl": 8, "draft_tokens": 1}, {"isl": 8, "osl": 8}]}, "unlike"),
    ],
)
def test_odd_workloads_are_refused(tmp_path, change, message):
    path = plan_with(tmp_path, "dense", lambda raw: raw["workload"].update(change))
    with pytest.raises(InputError, match=message):
        order_of(path)


def test_commands(tmp_path, capsys):
    """A drafter goes from the command line into scripts; without one nothing is written."""
    path = plan_with(tmp_path, "dense", lambda raw: raw["workload"].update(SERVED))
    out = tmp_path / "out"
    words = ["deploy", str(path), "--target", "vllm", "-o", str(out)]
    assert main(words) == BAD_INPUT
    assert not out.exists()
    assert main([*words, "--drafter", "a/head"]) == OK
    assert "a/head" in (out / "serve-decode.sh").read_text()
    assert "does not send requests" in capsys.readouterr().out.replace("\n", " ")
    request_file = tmp_path / "one.json"
    words = ["estimate", "qwen3-32b", "--hardware", "h200", "--isl", "4000", "--osl", "500"]
    words += ["--phase", "colocated", "--precision", "fp8", "--aic-request", str(request_file)]
    args = build_parser().parse_args(words)
    design = {"tp": 2.0, "ep": 1.0, "pp": 1.0, "batch": 56.0}
    write_request(args, design, Workload(4000.0, 500.0))
    jsonschema.validate(json.loads(request_file.read_text()), AIC)
    with pytest.raises(InputError, match="of one design"):
        check_load(build_parser().parse_args([*words, "--concurrency", "4"]))
