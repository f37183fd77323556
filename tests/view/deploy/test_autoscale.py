"""Do thresholds follow from the plan, and do profiles come back as they were written?"""

import json
import math
import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import jsonschema
import kubernetes_validate
import numpy as np
import pytest
import yaml

from jaxsim.catalog.deployment import Deployment
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.setup import setup_of
from jaxsim.catalog.workload import Workload
from jaxsim.point.phases.decode import decode
from jaxsim.traffic.queueing import queue_wait_s
from jaxsim.view.cli.main import BAD_INPUT, OK, main
from jaxsim.view.deploy.autoscale.files import scaling_files
from jaxsim.view.deploy.autoscale.limits import VARIABILITY, kv_frac, limits_of
from jaxsim.view.deploy.autoscale.profile import read_profile
from jaxsim.view.deploy.registry import target_of
from tests.view.deploy.made import HERE, PLANS, order, settings

SERVICE = json.loads((HERE / "schemas" / "kserve-service.json").read_text())

# The fields of dynamo.planner 1.6.1's PlannerConfig that are written.
PLANNER = {
    "environment", "backend", "mode", "optimization_target", "pre_deployment_sweeping_mode",
    "ttft_ms", "itl_ms", "enable_throughput_scaling", "enable_load_scaling",
    "throughput_adjustment_interval_seconds", "max_throughput_scaling_replicas", "min_endpoint",
    "max_gpu_budget", "prefill_engine_num_gpu", "decode_engine_num_gpu", "profile_results_dir",
    "prefill_scale_up_queue_tokens", "prefill_scale_down_queue_tokens", "decode_scale_up_kv_rate",
    "decode_scale_down_kv_rate",
}  # fmt: skip


def scaled(target, engine, plan, kind=None):
    made = order(plan, kind)
    how = settings(target, engine, made)
    return made, scaling_files(made, how, target_of(target).files(made, how), 2.0)


def test_the_rate_is_where_the_first_token_breaks_its_target():
    """At the threshold, the mean wait of the traffic model's queue is each pool's part of it."""
    made = order("dense")
    for role, places in (("prefill", 1), ("decode", made.pool("decode").batch)):
        pool = made.pool(role)
        limits = limits_of(made, pool)
        rate = pool.requests_per_s
        assert limits.requests_per_s == pytest.approx(limits.busy_frac * rate)
        with_x64 = [jnp.float64(x) for x in (limits.busy_frac, places / rate, places, VARIABILITY)]
        wait_s = float(queue_wait_s(*with_x64))
        assert wait_s == pytest.approx((made.ftl_target_s - made.ftl_s) / 2, rel=1e-6)
        tighter = replace(made, ftl_target_s=made.ftl_s + 0.01)
        assert 0.0 < limits_of(tighter, pool).busy_frac < limits.busy_frac < 1.0
        free = replace(made, ftl_target_s=math.inf)
        assert limits_of(free, pool).requests_per_s == pytest.approx(0.95 * rate)
    with pytest.raises(InputError, match=r"no request may wait.*--rate R --percentile P"):
        limits_of(replace(made, ftl_target_s=made.ftl_s), made.pool("prefill"))


def test_cache_and_queue_follow_from_the_plan():
    made = order("moe")
    decode, prefill = made.pool("decode"), made.pool("prefill")
    memory = decode.memory_bytes
    room = memory["capacity"] - memory["reserve"] - memory["weights"] - memory["activation"]
    limits = limits_of(made, decode)
    assert limits.kv_frac == pytest.approx(limits.busy_frac * memory["kv"] / room)
    waiting = limits_of(made, prefill).waiting
    assert waiting == pytest.approx(prefill.requests_per_s * (5.0 - 4.3109) / 2)
    assert limits_of(made, prefill, 1.5).most == 12
    with pytest.raises(InputError, match="at least 1"):
        limits_of(made, prefill, 0.5)


@pytest.fixture(scope="module")
def planned():
    return scaled("dynamo", "vllm", "dense")


def test_the_planner_knows_targets_budget_and_profile(planned):
    made, files = planned
    documents = list(yaml.safe_load_all(files["graph-autoscaled.yaml"]))
    planner = documents[-1]["spec"]["components"][-1]
    config = json.loads(planner["podTemplate"]["spec"]["containers"][0]["args"][1])
    assert set(config) <= PLANNER
    assert config["ttft_ms"] == 1e3 * made.ftl_target_s
    assert config["itl_ms"] == 1e3 * made.ttl_target_s
    assert config["max_gpu_budget"] == 46 * 1 + 10 * 2
    assert (config["prefill_engine_num_gpu"], config["decode_engine_num_gpu"]) == (1, 2)
    held = next(d for d in documents if d["metadata"]["name"] == "served-profile")["data"]
    assert set(held) == {"prefill_raw_data.json", "decode_raw_data.json"}


def test_a_profile_comes_back_from_either_form(planned, tmp_path):
    """Latencies rise with length, with context and with the use of the cache."""
    _, files = planned
    for name, content in files.items():
        if name.startswith("profile/"):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    packed = read_profile(tmp_path / "profile")
    for path in (tmp_path / "profile").rglob("*.npz"):
        path.unlink()
    plain = read_profile(tmp_path / "profile")
    assert packed.max_kv_tokens == plain.max_kv_tokens > 0
    for one, other in ((packed.prefill, plain.prefill), (packed.decode, plain.decode)):
        for key in one:
            np.testing.assert_allclose(one[key], other[key], atol=1e-6)
    assert (np.diff(packed.prefill["prefill_ttft"]) > 0).all()
    contexts = np.unique(packed.decode["y_context_length"])
    for context in contexts:
        here = packed.decode["y_context_length"] == context
        assert (np.diff(packed.decode["z_itl"][here]) > 0).all()
    assert (packed.decode["x_kv_usage"] <= 1.0).all()


def test_the_profile_at_the_plan_is_the_model_there(planned):
    """At the plan's batch and context, the profile has what the model says of the design."""
    made, files = planned
    pool = made.pool("decode")
    table = json.loads(files["profile/decode_raw_data.json"])
    middle = made.isl + made.osl / 2
    rows = [i for i, c in enumerate(table["y_context_length"]) if c == middle]
    setup = setup_of(made.model, pool.hardware, made.precision, made.engine)
    design = Deployment(float(pool.tp), 1.0, 1.0, batch=float(pool.batch), chunk=1.0)
    scenario = setup.scenario(Workload(float(made.isl), float(made.osl)), design)
    ttl_s = float(jax.jit(lambda given: decode(given).ttl_s)(scenario))
    assert table["z_itl"][rows[-1]] == pytest.approx(1e3 * ttl_s, rel=2e-3)
    usage = table["x_kv_usage"][rows[-1]]
    assert usage == pytest.approx(kv_frac(pool), rel=0.01)


def test_profiles_that_are_none_are_refused(tmp_path, planned):
    with pytest.raises(InputError, match="neither"):
        read_profile(tmp_path)
    _, files = planned
    (tmp_path / "prefill_raw_data.json").write_bytes(files["profile/prefill_raw_data.json"])
    (tmp_path / "decode_raw_data.json").write_text('{"x_kv_usage": [0.1], "z_itl": [1.0]}')
    with pytest.raises(InputError, match="lacks y_context_length"):
        read_profile(tmp_path)
    folder = tmp_path / "selected_decode_interpolation"
    folder.mkdir()
    np.savez(folder / "raw_data.npz", x_kv_usage=np.array([object()], dtype=object))
    with pytest.raises(InputError, match="decode profile"):
        read_profile(tmp_path)
    (tmp_path / "prefill_raw_data.json").write_text(
        '{"prefill_isl": [], "prefill_ttft": [], "prefill_thpt_per_gpu": []}'
    )
    with pytest.raises(InputError, match="at least one"):
        read_profile(tmp_path)


def test_a_measured_profile_reaches_the_planner(planned, tmp_path, capsys):
    """One twice as slow as the model is written in its place, and said to be."""
    _, files = planned
    for name, factor in (("prefill", 2.0), ("decode", 3.0)):
        table = json.loads(files[f"profile/{name}_raw_data.json"])
        key = "prefill_ttft" if name == "prefill" else "z_itl"
        table[key] = [factor * value for value in table[key]]
        (tmp_path / f"{name}_raw_data.json").write_text(json.dumps(table))
    words = ["deploy", str(PLANS / "dense.json"), "--target", "dynamo", "--autoscale"]
    words += ["--profile", str(tmp_path)]
    assert main([*words, "-o", str(tmp_path / "out")]) == OK
    told = capsys.readouterr().out.replace("\n", " ")
    assert "first tokens take 2.00 times" in told
    assert "gaps between tokens 3.00 times" in told
    written = read_profile(tmp_path / "out" / "profile")
    assert (
        list(written.prefill["prefill_ttft"])
        == json.loads((tmp_path / "prefill_raw_data.json").read_text())["prefill_ttft"]
    )
    words[3] = "llm-d"
    assert main([*words, "-o", str(tmp_path / "other")]) == BAD_INPUT
    assert "only Dynamo's planner scales by a profile" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize(("target", "plan"), [("llm-d", "dense"), ("neuron", "trainium")])
def test_scalers_act_on_the_objects_that_are_deployed(target, plan):
    made, files = scaled(target, "vllm", plan)
    how = settings(target, "vllm", made)
    own = target_of(target).files(made, how)
    prefix = "served-" if target == "llm-d" else ""
    names = {
        (doc["kind"], prefix + doc["metadata"]["name"])
        for name, text in own.items()
        if name in ("prefill.yaml", "decode.yaml")
        for doc in yaml.safe_load_all(text)
    }
    for name in ("keda.yaml", "hpa.yaml"):
        scalers = list(yaml.safe_load_all(files[name]))
        result = {(s["spec"]["scaleTargetRef"]["kind"], s["spec"]["scaleTargetRef"]["name"])
                 for s in scalers}  # fmt: skip
        assert result == names
    first = next(iter(yaml.safe_load_all(files["keda.yaml"])))
    thresholds = {t["name"]: float(t["metadata"]["threshold"]) for t in first["spec"]["triggers"]}
    limits = limits_of(made, made.pool("prefill"))
    rules = yaml.safe_load(files["prometheus-adapter.yaml"])["rules"]["custom"]
    known = {rule["name"]["as"] for rule in rules}
    for scaler in yaml.safe_load_all(files["hpa.yaml"]):
        kubernetes_validate.validate(scaler, "1.33", strict=True)
        assert {one["pods"]["metric"]["name"] for one in scaler["spec"]["metrics"]} <= known
    assert thresholds["rate"] == pytest.approx(limits.requests_per_s, rel=1e-5)
    assert thresholds["waiting"] == pytest.approx(limits.waiting, rel=1e-5)


def test_kserve_scales_by_its_own_fields():
    """`scaling` stands in place of `replicas`; each pool watches pods of its own that serve."""
    for plan, pods in (
        ("dense", {"prefill": "served-kserve-prefill-7d9fd5b8c6-x2x9z",
                   "decode": "served-kserve-7d9fd5b8c6-x2x9z"}),
        ("moe", {"prefill": "served-kserve-prefill-7d9fd5b8c6-x2x9z",
                 "decode": "served-kserve-mn-0"}),
    ):  # fmt: skip
        made, files = scaled("kserve", "vllm", plan)
        service = yaml.safe_load(files["service-autoscaled.yaml"])
        jsonschema.validate(service, SERVICE)
        for role in ("prefill", "decode"):
            pool, spec = made.pool(role), service["spec"]
            scaling = (spec["prefill"] if role == "prefill" else spec)["scaling"]
            assert (scaling["minReplicas"], scaling["maxReplicas"]) == (1, 2 * pool.count)
            watched = {one["name"]: one["metadata"] for one in scaling["keda"]["triggers"]}
            rate = limits_of(made, pool).requests_per_s
            assert float(watched["rate"]["threshold"]) == pytest.approx(rate, rel=1e-5)
            assert ("cache" in watched) == (role == "decode")
            pattern = re.findall(r'pod=~"([^"]+)"', watched["waiting"]["query"])[0]
            assert {own for own, pod in pods.items() if re.fullmatch(pattern, pod)} == {role}
        both = {**service, "spec": {**service["spec"], "replicas": 1}}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(both, SERVICE)


def test_colocated_graphs_scale_by_load():
    _, files = scaled("dynamo", "vllm", "moe", "colocated")
    graph = list(yaml.safe_load_all(files["graph-autoscaled.yaml"]))[-1]
    words = graph["spec"]["components"][-1]["podTemplate"]["spec"]["containers"][0]["args"]
    config = json.loads(words[1])
    assert config["mode"] == "agg"
    assert config["optimization_target"] == "load"
    assert config["decode_scale_up_kv_rate"] > config["decode_scale_down_kv_rate"]


def test_a_target_without_replicas_is_refused():
    with pytest.raises(InputError, match="does not move replicas"):
        scaled("vllm", "vllm", "dense")


def test_the_command_line_writes_all_of_it(tmp_path, capsys):
    plan = str(PLANS / "dense.json")
    words = ["deploy", plan, "--target", "llm-d", "--autoscale", "-o", str(tmp_path / "out")]
    assert main(words) == OK
    names = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.*")}
    assert {"keda.yaml", "hpa.yaml", "measure/aiperf.sh", "measure/aic-request.json"} <= names
    assert "llm-d" in capsys.readouterr().out
