"""Every part of a few designs, as a reader would see it."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from jaxsim.catalog.deployment import Deployment
from jaxsim.catalog.engine import Options
from jaxsim.catalog.setup import setup_of
from jaxsim.catalog.workload import Workload
from jaxsim.point.explain import explain

FOLDER = Path(__file__).parent


def _point(model, phase, isl, osl, design, hardware="gb200-nvl72", engine="ideal", **rest):
    workload = {"isl": isl, "osl": osl, **rest.pop("workload", {})}
    return {
        "model": model,
        "hardware": hardware,
        "engine": engine,
        "phase": phase,
        "workload": workload,
        "design": dict(zip(("tp", "ep", "pp", "batch", "chunk"), design, strict=True)),
        "precision": rest.pop("precision", "nvfp4"),
        "options": rest,
    }


DESIGNS = {
    "deepseek-r1-prefill": _point("deepseek-r1", "prefill", 16384, 2048, (1, 8, 2, 8, 4096)),
    "deepseek-r1-decode": _point("deepseek-r1", "decode", 16384, 2048, (1, 32, 1, 1024, 1)),
    "deepseek-r1-colocated": _point("deepseek-r1", "colocated", 16384, 2048, (8, 8, 1, 64, 512)),
    "deepseek-v3.2-decode": _point(
        "deepseek-v3.2",
        "decode",
        65536,
        1024,
        (1, 16, 1, 256, 1),
        workload={"draft_tokens": 1, "accept_frac": 0.8},
    ),
    "llama-70b-prefill": _point(
        "llama-3.1-70b",
        "prefill",
        8192,
        512,
        (4, 1, 2, 1, 2048),
        "h200",
        "trtllm",
        precision="fp8",
    ),
    "gpt-oss-120b-decode": _point(
        "gpt-oss-120b",
        "decode",
        4096,
        1024,
        (4, 1, 1, 64, 1),
        "b200",
        precision="checkpoint",
        comm_overlap_frac=0.3,
    ),
}


def golden_of(name: str) -> dict[str, Any]:
    """One design: the request, and every number of the result."""
    request = DESIGNS[name]
    setup = setup_of(
        request["model"],
        request["hardware"],
        precision=request["precision"],
        engine=request["engine"],
        options=Options(**request["options"]),
    )
    workload = Workload(**{key: float(value) for key, value in request["workload"].items()})
    design = Deployment(**{key: float(value) for key, value in request["design"].items()})
    result = explain(setup.scenario(workload, design), request["phase"])
    return {
        "request": {**request, "precision": setup.precision_name},
        "total_s": result.total_s,
        "parts": {part.name: dataclasses.asdict(part) for part in result.parts},
        "memory": dict(result.memory),
        "rules": dict(result.rules),
        "outputs": dict(result.outputs),
    }


def file_of(name: str) -> Path:
    return FOLDER / f"{name}.json"


def _rounded(value):
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    return float(f"{value:.8g}") if isinstance(value, float) else value


def text_of(result: dict[str, Any]) -> str:
    """Eight digits, a line each: what a reviewer reads as a difference."""
    return json.dumps(_rounded(result), indent=1) + "\n"
