"""`plan.json` as scripts rely on it."""

import dataclasses
import json
import math

import numpy as np

from jaxsim.view.files.plan_json import plan_dict
from jaxsim.view.text.plain_json import clean, dumps

DEPLOYED = {"output_tokens_per_s_per_gpu", "interval", "ftl_s", "ttl_s", "gpus", "instances"}
SERVED = {"hit_frac": 0, "draft_tokens": 0, "accept_frac": 0, "images": 0, "imbalance": 1}
INSTANCE = {"pool", "tp", "ep", "pp", "batch", "chunk", "gpus_per_instance", "count"}


def strict(plan):
    """The plan after a trip through JSON text; NaN and infinity are refused."""

    def refuse(name):
        raise AssertionError(name)

    return json.loads(dumps(plan_dict(plan)), parse_constant=refuse)


def test_every_key_of_the_schema_is_there(plan):
    result = strict(plan)
    assert result["schema"] == "jaxsim.plan/1"
    assert (result["model"], result["hardware"]) == ("deepseek-r1", "gb200-nvl72")
    assert result["workload"] == {**SERVED, "isl": 16384, "osl": 2048}
    assert result["targets"] == {"ftl_s": 5, "ttl_s": 0.05}
    assert result["points_evaluated"] == 1234567
    assert result["elapsed_s"] == 3.21
    assert result["recommended"] == "disaggregated"
    assert result["gain"] == 1234.5 / 987.0
    assert set(result["disaggregated"]) >= DEPLOYED | {
        "ctx_gen_ratio",
        "kv_egress_bytes_per_s_per_gpu",
        "kv_ingress_bytes_per_s_per_gpu",
        "certificate",
    }
    assert set(result["colocated"]) >= DEPLOYED
    assert "certificate" not in result["colocated"]
    assert result["disaggregated"]["interval"] == [1100, 1390]
    assert set(result["disaggregated"]["certificate"]) >= {
        "gap",
        "upper_bound",
        "runner_up",
        "stable_range",
    }
    assert "error" not in result
    assert "reason" not in result


def test_instances_name_their_pool_and_add_up(plan):
    result = strict(plan)
    for kind, pools in (("disaggregated", ["prefill", "decode"]), ("colocated", ["colocated"])):
        instances = result[kind]["instances"]
        assert [entry["pool"] for entry in instances] == pools
        assert all(set(entry) >= INSTANCE for entry in instances)
        gpus = sum(entry["count"] * entry["gpus_per_instance"] for entry in instances)
        assert gpus == result[kind]["gpus"]


def test_frontiers_have_columns_of_one_length(plan):
    for curve in strict(plan)["frontiers"]:
        lengths = {
            len(curve[name]) for name in ("ttl_s", "output_tokens_per_s_per_gpu", "low", "high")
        }
        lengths |= {len(column) for column in curve["designs"].values()}
        assert lengths == {24}


def test_what_cannot_be_met_is_null_with_its_reason(half_met_plan, unmet_plan):
    half = strict(half_met_plan)
    assert half["colocated"] is None
    assert half["gain"] is None
    assert half["recommended"] == "disaggregated"
    assert half["reason"] == {"colocated": "no co-located design is fast enough"}
    assert half["nearest"] == {"colocated": {"ftl_s": 0.9, "ttl_s": 0.06}}
    assert "error" not in half
    none = strict(unmet_plan)
    assert none["recommended"] is None
    assert set(none["reason"]) == {"disaggregated", "colocated"}
    assert "TTL 6.10 ms" in none["error"]


def test_numbers_that_json_cannot_have_are_null(plan):
    priceless = dataclasses.replace(
        plan.disaggregated, cost_usd_per_million_output_tokens=math.nan, interval=(1.0, math.inf)
    )
    result = strict(dataclasses.replace(plan, disaggregated=priceless))["disaggregated"]
    assert result["cost_usd_per_million_output_tokens"] is None
    assert result["interval"] == [1, None]


def test_arrays_and_numpy_numbers_become_plain_ones():
    given = {"a": np.array([[1.0, np.nan]]), "b": (np.float32(0.5), np.int64(3), True, None, "x")}
    assert clean(given) == {"a": [[1, None]], "b": [0.5, 3, True, None, "x"]}
