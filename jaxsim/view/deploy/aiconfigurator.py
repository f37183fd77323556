"""How does a plan become a request to NVIDIA's AIConfigurator, to compare its estimate with ours?

Writes `aic-estimate-request/1.0.0`; `aiconfigurator` 0.12 reads it.
"""

import json

from jaxsim.catalog.errors import InputError
from jaxsim.view.deploy.order import Order, Pool

SCHEMA = "aic-estimate-request/1.0.0"
SYSTEMS = {
    "a100": "a100_sxm",
    "h100": "h100_sxm",
    "h200": "h200_sxm",
    "b200": "b200_sxm",
    "b300": "b300_sxm",
    "gb200-nvl72": "gb200",
    "gb300-nvl72": "gb300",
    "rtx-pro-6000": "rtx_pro_6000_server",
}


def system_of(pool: Pool) -> str:
    """What AIConfigurator calls a pool's hardware."""
    if pool.hardware not in SYSTEMS:
        raise InputError(
            f"AIConfigurator has no data for {pool.hardware}; it has {', '.join(SYSTEMS)}."
        )
    return SYSTEMS[pool.hardware]


def request(
    order: Order, engine: str, checkpoint: str, database: str = "SILICON"
) -> dict[str, object]:
    """The request for a plan: its shapes, and the concurrency it runs at."""
    described: dict[str, object] = {
        "schema_version": SCHEMA,
        "model": {"path": checkpoint},
        "backend": {"name": engine, "database_mode": database},
        "systems": {},
        "workload": {"isl": order.isl, "osl": order.osl, "concurrency": order.concurrency},
        "topology": {},
        "provenance": {"source_type": "custom", "source_reference": "jaxsim"},
    }
    if order.kind == "disaggregated":
        described["systems"] = {p.role: system_of(p) for p in order.pools}
        described["topology"] = {"kind": "disagg", **{p.role: _pool(p) for p in order.pools}}
    else:
        own = order.pools[0]
        described["systems"] = {"prefill": system_of(own)}
        described["topology"] = {"kind": "agg", "worker": _pool(own)}
    return described


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


def request_text(order: Order, engine: str, checkpoint: str) -> str:
    """The request as JSON text."""
    return json.dumps(request(order, engine, checkpoint), indent=2) + "\n"
