"""Do the load generators measure the plan at its own concurrency and lengths?"""

import json
import shlex
import subprocess

import pytest
import yaml

from jaxsim.catalog.errors import InputError
from jaxsim.catalog.flags import FOLDER
from jaxsim.view.deploy.aiconfigurator import request
from jaxsim.view.deploy.measure import measure_files
from tests.narrow import untyped
from tests.view.deploy.made import order, settings


@pytest.fixture(scope="module")
def made():
    plan = order("dense")
    return plan, measure_files(plan, settings("vllm", "vllm", plan))


def words_of(text):
    return shlex.split(text[text.index("exec ") :].replace("\\\n", " "))[1:]


def option(words, name):
    return words[words.index(name) + 1]


def test_concurrency_is_rate_times_time(made):
    plan, files = made
    time_s = plan.ftl_s + (plan.osl - 1) * plan.ttl_s
    assert plan.concurrency == round(plan.requests_per_s * time_s) == 1029
    assert option(words_of(files["measure/aiperf.sh"]), "--concurrency") == "1029"
    assert option(words_of(files["measure/vllm-bench.sh"]), "--max-concurrency") == "1029"
    assert "streams=1029" in option(words_of(files["measure/guidellm.sh"]), "--profile")
    config = yaml.safe_load(files["measure/inference-perf.yaml"])
    assert config["load"]["stages"][0]["concurrency_level"] == 1029


def test_lengths_are_those_of_the_plan(made):
    _, files = made
    aiperf, bench = (words_of(files[f"measure/{n}.sh"]) for n in ("aiperf", "vllm-bench"))
    assert (option(aiperf, "--isl"), option(aiperf, "--osl")) == ("4096", "512")
    assert option(bench, "--random-input-len") == "4096"
    assert option(bench, "--metadata") == "gpus=33"
    config = yaml.safe_load(files["measure/inference-perf.yaml"])
    assert config["data"]["input_distribution"]["mean"] == 4096


def test_options_are_known_to_the_tools(made):
    _, files = made
    for tool in ("aiperf", "vllm-bench", "guidellm"):
        listed = json.loads((FOLDER / f"measure-{tool}.json").read_text())["options"]
        words = words_of(files[f"measure/{tool}.sh"])
        assert {word for word in words if word.startswith("--")} <= set(listed), tool


def test_scripts_are_read_by_bash(made):
    for name, text in made[1].items():
        if name.endswith(".sh"):
            read = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True)
            assert not read.returncode, (name, read.stderr)


def test_the_request_for_aiconfigurator_is_the_plan():
    estimate_request = untyped(request(order("moe"), "trtllm", "nvidia/x"))
    assert estimate_request["systems"] == {"prefill": "gb200", "decode": "gb200"}
    decode = estimate_request["topology"]["decode"]
    assert decode == {
        "replicas": 1, "gpus_per_replica": 16, "batch_size": 256, "tp_size": 1,
        "attention_dp_size": 16, "moe_tp_size": 1, "moe_ep_size": 16,
    }  # fmt: skip
    assert estimate_request["topology"]["prefill"]["pp_size"] == 4
    colocated = untyped(request(order("moe", "colocated"), "trtllm", "nvidia/x"))
    assert colocated["topology"]["kind"] == "agg"
    with pytest.raises(InputError, match="no data for trainium2"):
        request(order("trainium"), "vllm", "x")
