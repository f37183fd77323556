"""How does a plan become a request to NVIDIA's AIConfigurator, to compare its estimate with ours?

Writes `aic-estimate-request/1.0.0`; `aiconfigurator` 0.12 reads it.
"""

import json

from jaxsim.catalog.checkpoints import checkpoint_of
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.setup import Setup
from jaxsim.catalog.workload import Workload
from jaxsim.truth.kernels.tables import FOLDERS
from jaxsim.view.deploy.order import Order, Pool

SCHEMA = "aic-estimate-request/1.0.0"
SYSTEMS = {**FOLDERS, "rtx-pro-6000": "rtx_pro_6000_server"}


def system_of(hardware: str) -> str:
    """What AIConfigurator calls an accelerator."""
    if hardware not in SYSTEMS:
        raise InputError(f"AIConfigurator has no data for {hardware}; it has {', '.join(SYSTEMS)}.")
    return SYSTEMS[hardware]


def request(
    order: Order, engine: str, checkpoint: str, database: str = "SILICON"
) -> dict[str, object]:
    """The request for a plan: its shapes, and the concurrency it runs at."""
    described: dict[str, object] = {
        "schema_version": SCHEMA,
        "model": {"path": checkpoint, **_drafts(order.draft_tokens, order.accept_frac)},
        "backend": {"name": engine, "database_mode": database},
        "systems": {},
        "workload": {
            "isl": order.isl,
            "osl": order.osl,
            "concurrency": order.concurrency,
            **({"prefix": order.cached} if order.cached else {}),
        },
        "topology": {},
        "provenance": {"source_type": "custom", "source_reference": "jaxsim"},
    }
    if order.kind == "disaggregated":
        described["systems"] = {p.role: system_of(p.hardware) for p in order.pools}
        described["topology"] = {"kind": "disagg", **{p.role: _pool(p) for p in order.pools}}
    else:
        own = order.pools[0]
        described["systems"] = {"prefill": system_of(own.hardware)}
        described["topology"] = {"kind": "agg", "worker": _pool(own)}
    return described


def _drafts(drafts: int, accept_frac: float) -> dict[str, float]:
    """Tokens drafted a step, and how many of them are accepted on average."""
    if not drafts:
        return {}
    accepted = sum(accept_frac**n for n in range(1, drafts + 1))
    return {"nextn": drafts, "nextn_accepted": accepted}


def _pool(pool: Pool) -> dict[str, int]:
    described = {
        "replicas": pool.count,
        "gpus_per_replica": pool.gpus,
        "batch_size": pool.rank_batch,
        "tp_size": pool.tp,
        "pp_size": pool.pp,
        "attention_dp_size": pool.attention_dp,
        "moe_tp_size": pool.expert_tp,
        "moe_ep_size": pool.ep,
    }
    if pool.pp == 1:
        del described["pp_size"]
    return described


def design_request(
    setup: Setup, phase: str, workload: Workload, tp: int, ep: int, pp: int, batch: int
) -> dict[str, object]:
    """The request for one design.

    AIConfigurator has no pool by itself: the other pool of a design that only prefills or decodes
    is one instance of the same shape with one request, as `provenance.assumptions` says.
    """
    engine, precision = setup.engine.name, setup.precision_name
    if engine not in ("trtllm", "vllm", "sglang"):
        raise InputError(
            f"--aic-request: AIConfigurator has trtllm, vllm and sglang, not {engine}; give one "
            "with --engine."
        )
    width, isl = max(tp, ep), int(workload.isl)
    ranks = width // tp
    own = {
        "replicas": 1,
        "gpus_per_replica": width * pp,
        "batch_size": max(1, -(-batch // ranks)),
        "tp_size": tp,
        "pp_size": pp,
        "attention_dp_size": ranks,
        "moe_tp_size": width // ep,
        "moe_ep_size": ep,
    }
    alone = {**own, "batch_size": 1}
    system, assumptions = system_of(setup.hardware.name), []
    if phase == "colocated":
        systems, topology = {"prefill": system}, {"kind": "agg", "worker": own}
    else:
        other = {"prefill": "decode", "decode": "prefill"}[phase]
        systems = {"prefill": system, "decode": system}
        topology = {"kind": "disagg", phase: own, other: alone}
        assumptions = [f"{other}: one instance of the same shape, for it is not part of the design"]
    drafts, accept = int(workload.draft_tokens), float(workload.accept_frac)
    hits = min(isl - 1, round(float(workload.hit_frac) * isl))
    checkpoint, _ = checkpoint_of(setup.model, precision, engine)
    return {
        "schema_version": SCHEMA,
        "model": {"path": checkpoint, **_drafts(drafts, accept)},
        "backend": {"name": engine, "database_mode": "SILICON"},
        "systems": systems,
        "workload": {
            **{"isl": isl, "osl": int(workload.osl), "concurrency": batch},
            **({"prefix": hits} if hits else {}),
        },
        "topology": topology,
        "provenance": {
            **{"source_type": "custom", "source_reference": "jaxsim"},
            **({"assumptions": assumptions} if assumptions else {}),
        },
    }


def request_text(order: Order, engine: str, checkpoint: str) -> str:
    """The request as JSON text."""
    return json.dumps(request(order, engine, checkpoint), indent=2) + "\n"
