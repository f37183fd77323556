"""Deployments made from recorded plans, without the command line."""

import json
from dataclasses import replace
from pathlib import Path

from jaxsim.catalog.checkpoints import checkpoint_of
from jaxsim.view.deploy.plan_file import order_of
from jaxsim.view.deploy.registry import connector_of, flags_for, target_of
from jaxsim.view.deploy.settings import Settings
from jaxsim.view.deploy.shapes import check_shapes

HERE = Path(__file__).parent
PLANS = HERE / "plans"

# Every target with every engine it runs.
WAYS = (
    ("dynamo", "vllm"),
    ("dynamo", "sglang"),
    ("dynamo", "trtllm"),
    ("trtllm", "trtllm"),
    ("vllm", "vllm"),
    ("sglang", "sglang"),
    ("llm-d", "vllm"),
    ("kserve", "vllm"),
    ("gke", "vllm"),
    ("mooncake", "vllm"),
    ("mooncake", "sglang"),
    ("slurm", "vllm"),
    ("slurm", "trtllm"),
)  # fmt: skip
# The co-located plan, unlike hardware and the other connector, once each.
CASES = (
    *((target, engine, plan, None, None) for target, engine in WAYS for plan in ("moe", "dense")),
    ("vllm", "vllm", "moe", "colocated", None),
    ("dynamo", "sglang", "unlike", None, None),
    ("gke", "sglang", "unlike", None, None),
    ("neuron", "vllm", "trainium", None, None),
    ("neuron", "vllm", "trainium-moe", None, None),
    ("distserve", "vllm", "pairs", None, None),
    ("vllm", "vllm", "dense", None, "mooncake"),
)


def order(plan, kind=None):
    return order_of(PLANS / f"{plan}.json", kind)


def settings(target, engine, made, connector=None, **more):
    result = target_of(target)
    checkpoint, quantize = checkpoint_of(made.model, made.precision, engine)
    given = Settings(
        target=target,
        flags=flags_for(result, engine, None, ""),
        connector=connector_of(result, engine, connector),
        checkpoint=checkpoint,
        quantize=quantize,
        served=checkpoint,
        name="served",
    )
    return replace(given, **more)


def texts(target, engine, plan, kind=None, connector=None, **more):
    """Files by name, as `jaxsim deploy` would write them."""
    made = order(plan, kind)
    how = settings(target, engine, made, connector, **more)
    check_shapes(target_of(target).rules(engine), how.connector, made)
    return target_of(target).files(made, how)


def golden(case):
    parts = [part for part in case if part]
    return HERE / "golden" / f"{'-'.join(parts)}.txt"


def joined(files):
    return "".join(f"===== {name}\n{text}" for name, text in sorted(files.items()))


def plan_with(tmp_path, name, change):
    """A recorded plan with something changed, in a file."""
    raw = json.loads((PLANS / f"{name}.json").read_text())
    change(raw)
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(raw))
    return path
