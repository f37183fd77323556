"""What does a `plan.json` ask to be deployed?  Strict: a field that is missing or odd is named."""

import hashlib
import json
import math
from pathlib import Path
from typing import TypedDict

from jaxsim.catalog.cards import HardwareCard, ModelCard
from jaxsim.catalog.documents import given_path, quoted, read_json
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.load import load_hardware, load_model
from jaxsim.catalog.precision_presets import load_precision
from jaxsim.view.deploy.order import Order, Pool

SCHEMA = "jaxsim.plan/1"
KINDS = ("disaggregated", "colocated")
# Beyond any cluster; files list every server.
MOST_GPUS = 1_000_000
ROLES = {"disaggregated": ("prefill", "decode"), "colocated": ("colocated",)}


def read_plan(path: Path) -> dict[str, object]:
    """The JSON of a plan, if it has the schema that this version writes."""
    path = given_path(path)
    path = path / "plan.json" if path.is_dir() else path
    raw = read_json(path, "`jaxsim plan MODEL … -o DIR` writes DIR/plan.json.")
    schema = raw.get("schema") if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or schema != SCHEMA:
        raise InputError(
            f"{path}: schema {quoted(schema)} is not {SCHEMA!r}, which this version of jaxsim "
            "reads. Make the plan again with `jaxsim plan … -o DIR`."
        )
    return raw


class Fields:
    """A table of a plan, whose fields are taken by name and checked."""

    def __init__(self, path: Path, where: str, table: object):
        if not isinstance(table, dict):
            raise InputError(f"{path}: {where or 'the file'} must be a table of keys.")
        self.path, self.where, self.table = path, where, table

    def error(self, name: str, problem: str) -> InputError:
        """What is wrong with a field; one that is not there may be of another version."""
        if name not in self.table:
            problem = "is not there. Make the plan again with `jaxsim plan … -o DIR`."
        return InputError(f"{self.path}: {self.where + '.' if self.where else ''}{name}: {problem}")

    def has(self, name: str) -> bool:
        """Whether a field is there and not null."""
        return self.table.get(name) is not None

    def text(self, name: str) -> str:
        """A name: one line of printable characters."""
        value = self.table.get(name)
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise self.error(name, f"{quoted(value)} is not a name.")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        """A number of 0 or more."""
        value = self.table.get(name, default)
        real = isinstance(value, int | float) and not isinstance(value, bool)
        if not real or not math.isfinite(value) or value < 0:
            raise self.error(name, f"{quoted(value)} is not a number of 0 or more.")
        return float(value)

    def whole(self, name: str, least: int = 1) -> int:
        """A whole number."""
        value = self.number(name)
        if value != int(value) or value < least:
            raise self.error(name, f"{value:g} is not a whole number of at least {least}.")
        return int(value)

    def child(self, name: str) -> "Fields":
        """A table within this one."""
        return Fields(self.path, f"{self.where}.{name}".strip("."), self.table.get(name))


def order_of(
    path: Path,
    kind: str | None = None,
    model: str | None = None,
    hardware: dict[str, str] | None = None,
) -> Order:
    """What the plan at `path` asks to be deployed.

    `kind` is disaggregated or colocated; by default, what the plan recommends. `model` and
    `hardware` say where a model or hardware that is not in the catalogue is described.
    """
    raw = read_plan(path)
    top = Fields(path, "", raw)
    chosen = kind or (top.text("recommended") if top.has("recommended") else None)
    if chosen is None:
        why = raw.get("error") or "no design meets its targets"
        raise InputError(f"{path}: there is nothing to deploy: {why}")
    if chosen not in KINDS:
        raise InputError(f"kind {chosen!r} is not one of {', '.join(KINDS)}.")
    if not top.has(chosen):
        reasons = raw.get("reason")
        reason = reasons.get(chosen) if isinstance(reasons, dict) else None
        reason = reason or "it meets no target"
        other = next(name for name in KINDS if name != chosen)
        raise InputError(f"{path}: has no {chosen} deployment: {reason} Deploy it {other}.")
    deployed = top.child(chosen)
    card = _model(model or top.text("model"))
    precision = top.text("precision")
    workload, targets = top.child("workload"), top.child("targets")
    osl = _longest(workload, "osl") if "osl" in workload.table else 1
    return Order(
        kind=chosen,
        model=card,
        precision=precision,
        kv=load_precision(precision, card).kv,
        engine=top.text("engine"),
        isl=_longest(workload, "isl"),
        osl=osl,
        ftl_target_s=_limit(targets, "ftl_s"),
        ttl_target_s=_limit(targets, "ttl_s"),
        ftl_s=deployed.number("ftl_s"),
        ttl_s=deployed.number("ttl_s"),
        requests_per_s=deployed.number("requests_per_s"),
        output_tokens_per_s_per_gpu=deployed.number("output_tokens_per_s_per_gpu"),
        interval=_interval(deployed),
        **_served(workload),
        pools=_pools(deployed, chosen, hardware or {}),
        digest=hashlib.sha256(json.dumps(raw, sort_keys=True).encode()).hexdigest()[:16],
    )


class _Served(TypedDict):
    """What is served besides lengths."""

    hit_frac: float
    draft_tokens: int
    accept_frac: float
    images: int


def _served(workload: Fields) -> _Served:
    """Prefix hits, speculation and images, which servers have alike for all workloads of a mix."""
    rows = workload.table.get("mix")
    drafts = workload.number("draft_tokens", 0.0)
    hit_frac, accept_frac = (workload.number(n, 0.0) for n in ("hit_frac", "accept_frac"))
    if isinstance(rows, list) and any(isinstance(row, dict) for row in rows):
        names = ("hit_frac", "draft_tokens", "accept_frac")
        said = {tuple(row.get(n, workload.table.get(n, 0)) for n in names) for row in rows}
        if len(said) > 1:
            raise workload.error(
                "mix", "its workloads have unlike prefix hits or drafts; deploy a plan of each."
            )
    images = workload.number("images", 0.0)
    for name, value in (("draft_tokens", drafts), ("images", images)):
        if value != int(value):
            raise workload.error(name, f"{value:g} is not a whole number.")
    for name, value in (("hit_frac", hit_frac), ("accept_frac", accept_frac)):
        if value > 1.0:
            raise workload.error(name, f"{value:g} is not a fraction.")
    return {
        "hit_frac": hit_frac,
        "draft_tokens": int(drafts),
        "accept_frac": accept_frac,
        "images": int(images),
    }


def _longest(workload: Fields, name: str) -> int:
    """A length of the workload; of a mix, the longest."""
    rows = workload.table.get("mix")
    if not isinstance(rows, list):
        return workload.whole(name)
    fields = [Fields(workload.path, f"workload.mix[{k}]", row) for k, row in enumerate(rows)]
    return max(own.whole(name) for own in fields)


def _interval(deployed: Fields) -> tuple[float, float]:
    rows = deployed.table.get("interval")
    if not isinstance(rows, list) or len(rows) != 2:
        raise deployed.error("interval", "must be two numbers.")
    ends = Fields(deployed.path, f"{deployed.where}.interval", dict(zip("01", rows, strict=True)))
    return ends.number("0"), ends.number("1")


def _limit(targets: Fields, name: str) -> float:
    return targets.number(name) if targets.has(name) else math.inf


def _model(name: str) -> ModelCard:
    try:
        return load_model(name)
    except InputError as error:
        raise InputError(
            f"{error} A plan keeps only the name: give the config.json it was made with as --model."
        ) from None


def _card(name: str, given: dict[str, str]) -> HardwareCard:
    try:
        return load_hardware(given.get(name, name))
    except InputError as error:
        raise InputError(
            f"{error} A plan keeps only the name: give its file as --hardware {name}=FILE.toml."
        ) from None


def _pools(deployed: Fields, kind: str, given: dict[str, str]) -> tuple[Pool, ...]:
    rows = deployed.table.get("instances")
    if not isinstance(rows, list) or not rows:
        raise deployed.error("instances", "must be a list of pools.")
    pools = []
    for index, row in enumerate(rows):
        fields = Fields(deployed.path, f"{deployed.where}.instances[{index}]", row)
        role = fields.text("pool")
        if role not in ROLES[kind]:
            raise fields.error("pool", f"{role!r} is not one of {', '.join(ROLES[kind])}.")
        card = _card(fields.text("hardware"), given)
        memory, parts = fields.child("memory_bytes"), fields.child("parts_s")
        pool = Pool(
            role=role,
            mode=str(fields.table.get("mode") or ""),
            hardware=card.name,
            vendor=card.vendor,
            gpus_per_node=int(card.gpus_per_node),
            domain_gpus=int(card.hardware.domain_gpus),
            count=fields.whole("count"),
            tp=fields.whole("tp"),
            ep=fields.whole("ep"),
            pp=fields.whole("pp"),
            batch=fields.whole("batch"),
            chunk=fields.whole("chunk", least=0),
            latency_s=fields.number("latency_s"),
            requests_per_s=fields.number("requests_per_s"),
            memory_bytes={name: memory.number(name) for name in memory.table},
            parts_s={name: parts.number(name) for name in parts.table},
        )
        _whole_shape(fields, pool)
        pools.append(pool)
    if sorted(pool.role for pool in pools) != sorted(ROLES[kind]):
        held = ", ".join(pool.role for pool in pools)
        raise deployed.error(
            "instances", f"one pool of each role is deployed; the plan has {held}."
        )
    return tuple(pools)


def _whole_shape(fields: Fields, pool: Pool) -> None:
    """Refuse widths that do not divide, and numbers of GPUs that are not theirs or too many."""
    if pool.width % pool.tp or pool.width % pool.ep:
        raise fields.error("tp", f"{pool.tp} and ep {pool.ep} do not divide one another.")
    if "gpus_per_instance" in fields.table and fields.whole("gpus_per_instance") != pool.gpus:
        stated = fields.whole("gpus_per_instance")
        raise fields.error("gpus_per_instance", f"{stated} is not max(tp, ep) · pp = {pool.gpus}.")
    if pool.gpus * pool.count > MOST_GPUS:
        raise fields.error(
            "count", f"{pool.gpus * pool.count:,} GPUs; a pool has at most {MOST_GPUS:,}."
        )
