"""What starts the plan with DistServe?  Its placement, and a server for each pair of instances."""

import json
import math

from jaxsim.catalog.errors import InputError
from jaxsim.catalog.precision_presets import load_precision
from jaxsim.catalog.shapes import model_why_not
from jaxsim.view.deploy.arguments import memory_fraction, step_requests, step_tokens
from jaxsim.view.deploy.order import Order
from jaxsim.view.deploy.platforms import platforms
from jaxsim.view.deploy.settings import Settings
from jaxsim.view.deploy.shell import line_of, script

BLOCK = 16


def files(order: Order, settings: Settings) -> dict[str, str]:
    """The placement, and the script of one pair."""
    _check(order)
    return {
        "placement.json": json.dumps(placement(order), indent=2) + "\n",
        "serve-pair.sh": _serve(order, settings),
    }


def _check(order: Order) -> None:
    if order.kind != "disaggregated":
        raise InputError("DistServe serves prefill and decode apart; deploy --kind disaggregated.")
    formats = order.model.formats(load_precision(order.precision, order.model))
    if reason := model_why_not("distserve", order.model.is_moe, formats):
        raise InputError(f"{order.model.name}: {reason}")
    prefill, decode = (order.pool(role) for role in ("prefill", "decode"))
    if prefill.count != decode.count:
        raise InputError(
            f"A DistServe server has one context and one decoding instance; the plan has "
            f"{prefill.count} and {decode.count}. `jaxsim plan … --deployable distserve` finds the "
            "best with as many of each."
        )
    if prefill.chunk and prefill.chunk < order.isl:
        raise InputError(
            f"DistServe takes prompts whole, and the plan has chunks of {prefill.chunk:,} tokens: "
            "`jaxsim plan … --deployable distserve` plans without."
        )


def placement(order: Order) -> dict[str, object]:
    """The sizes of both instances, and how many pairs there are."""
    prefill, decode = (order.pool(role) for role in ("prefill", "decode"))
    return {
        "source": platforms()["distserve"]["version"],
        "pairs": prefill.count,
        "context": {"tensor_parallel_size": prefill.tp, "pipeline_parallel_size": prefill.pp},
        "decoding": {"tensor_parallel_size": decode.tp, "pipeline_parallel_size": decode.pp},
        "gpus_per_pair": prefill.gpus + decode.gpus,
    }


def _serve(order: Order, settings: Settings) -> str:
    prefill, decode = (order.pool(role) for role in ("prefill", "decode"))
    fraction = min(memory_fraction("all", pool.memory_bytes) for pool in order.pools)
    words = ["python3", "-m", "distserve.api_server.distserve_api_server"]
    values = {
        "--model": settings.checkpoint,
        "--context-tensor-parallel-size": prefill.tp,
        "--context-pipeline-parallel-size": prefill.pp,
        "--decoding-tensor-parallel-size": decode.tp,
        "--decoding-pipeline-parallel-size": decode.pp,
        "--block-size": BLOCK,
        "--max-num-blocks-per-req": math.ceil(order.context / BLOCK),
        "--gpu-memory-utilization": f"{fraction:.3f}",
        "--context-sched-policy": "fcfs",
        "--context-max-batch-size": step_requests(prefill),
        "--context-max-tokens-per-batch": step_tokens(order, prefill),
        "--decoding-sched-policy": "fcfs",
        "--decoding-max-batch-size": step_requests(decode),
        "--decoding-max-tokens-per-batch": step_requests(decode) * order.context,
    }
    for name, value in values.items():
        words += [name, str(value)]
    return script(
        "One context and one decoding instance: serve-pair.sh PORT, once for each pair.",
        [f'port="${{1:-{settings.port}}}"', f'exec {line_of(words, "  ")} \\\n  --port "$port"'],
    )
