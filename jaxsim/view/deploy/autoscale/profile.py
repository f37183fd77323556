"""Which profile does Dynamo's planner scale by?  Written from the model, and read back from a file.

`selected_prefill_interpolation/raw_data.npz` has `prefill_isl`, `prefill_ttft` (ms) and
`prefill_thpt_per_gpu` (prompt tokens/s); `selected_decode_interpolation/raw_data.npz` has
`x_kv_usage` (0 to 1), `y_context_length`, `z_itl` (ms), `z_thpt_per_gpu` and `max_kv_tokens`.
The same stands in `prefill_raw_data.json` and `decode_raw_data.json`.
"""

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from jaxsim.catalog.deployment import Deployment
from jaxsim.catalog.documents import read_json
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.scenario import Scenario
from jaxsim.catalog.setup import Setup
from jaxsim.catalog.workload import Workload
from jaxsim.point.phases.decode import decode
from jaxsim.point.phases.prefill import prefill
from jaxsim.view.deploy.autoscale.limits import kv_frac
from jaxsim.view.deploy.order import Order, Pool

PREFILL = ("prefill_isl", "prefill_ttft", "prefill_thpt_per_gpu")
DECODE = ("x_kv_usage", "y_context_length", "z_itl", "z_thpt_per_gpu")
FOLDERS = {"prefill": "selected_prefill_interpolation", "decode": "selected_decode_interpolation"}
POINTS = 8


@dataclass(frozen=True)
class Profile:
    """Both tables of a profile, as arrays of equal length each, and the room of the cache."""

    prefill: dict[str, np.ndarray]
    decode: dict[str, np.ndarray]
    max_kv_tokens: int


Seconds = Callable[[float, float], float]


@jax.jit
def _at_prompt(scenario: Scenario):
    outputs = prefill(scenario)
    return outputs.ftl_s, outputs.requests_per_s


@jax.jit
def _at_step(scenario: Scenario):
    return decode(scenario).ttl_s


def prompt_times(order: Order, setup: Setup) -> Callable[[float], tuple[float, float]]:
    """First-token latency, and requests/s, of a prefill instance by prompt length, one a rank."""
    pool = order.pool("prefill")

    def times(isl: float) -> tuple[float, float]:
        design = _design(pool, pool.attention_dp, pool.chunk or isl)
        workload = Workload(float(isl), float(max(2, order.osl)))
        ftl_s, rate = _at_prompt(setup.scenario(workload, design))
        return float(ftl_s), float(rate)

    return times


def step_times(order: Order, setup: Setup) -> Seconds:
    """Seconds between tokens of a decode instance, by its requests and their context."""
    pool = order.pool("decode")

    def seconds(batch: float, context: float) -> float:
        design = _design(pool, batch, context)
        return float(_at_step(setup.scenario(Workload(float(context), 2.0), design)))

    return seconds


def profile_of(order: Order, setups: dict[str, Setup]) -> Profile:
    """The profile of a disaggregated plan, one shape per pool, from the model.

    `setups` has the set-up of each role. Prompts of up to twice the plan's length are timed one at
    a time, as the planner asks; decoding at batches up to the plan's, at contexts around its own.
    """
    prefill_pool, decode_pool = order.pool("prefill"), order.pool("decode")
    lengths = np.unique(np.geomspace(min(256, order.isl), 2 * order.isl, POINTS).round())
    times = prompt_times(order, setups["prefill"])
    rows = []
    for isl in lengths:
        ftl_s, rate = times(isl)
        rows.append((isl, 1e3 * ftl_s, rate * isl / prefill_pool.gpus))
    seconds = step_times(order, setups["decode"])
    middle = order.isl + order.osl / 2
    room = _kv_tokens(order)
    steps = []
    for context in (0.5 * middle, middle, 2.0 * middle):
        for batch in np.unique(np.geomspace(1, decode_pool.batch, POINTS).round()):
            usage = batch * context / room
            if usage > 1.0:
                continue
            ttl_s = seconds(batch, context)
            steps.append((usage, context, 1e3 * ttl_s, batch / ttl_s / decode_pool.gpus))
    return Profile(
        prefill=dict(zip(PREFILL, np.array(rows, dtype=float).T, strict=True)),
        decode=dict(zip(DECODE, np.array(steps, dtype=float).T, strict=True)),
        max_kv_tokens=int(room),
    )


def measured_ratios(
    profile: Profile, order: Order, setups: dict[str, Setup]
) -> tuple[float, float]:
    """A profile's latencies over the model's, as medians: to the first token, between tokens."""
    times, seconds = prompt_times(order, setups["prefill"]), step_times(order, setups["decode"])
    prompts, steps = profile.prefill, profile.decode
    first = [
        ttft / (1e3 * times(isl)[0])
        for isl, ttft in zip(prompts["prefill_isl"], prompts["prefill_ttft"], strict=True)
    ]
    columns = (steps[key] for key in ("x_kv_usage", "y_context_length", "z_itl"))
    gaps = []
    for usage, context, itl in zip(*columns, strict=True):
        # The planner, too, takes the batch from the use of the cache, and one at least.
        batch = max(1.0, float(round(usage * profile.max_kv_tokens / context)))
        gaps.append(itl / (1e3 * seconds(batch, context)))
    return float(np.median(first)), float(np.median(gaps))


def _design(pool: Pool, batch: float, chunk: float) -> Deployment:
    widths = (float(pool.tp), float(pool.ep), float(pool.pp))
    return Deployment(*widths, batch=float(batch), chunk=float(chunk))


def _kv_tokens(order: Order) -> float:
    """Tokens whose cache one decode instance can hold: the plan's, over the part they fill."""
    pool = order.pool("decode")
    held = pool.batch * (order.isl + order.osl / 2)
    return held / max(kv_frac(pool), 1e-9)


def profile_files(profile: Profile) -> dict[str, bytes]:
    """The profile as files by path, both forms."""
    tables = {"prefill": profile.prefill, "decode": profile.decode}
    made: dict[str, bytes] = {}
    for name, table in tables.items():
        more = {"max_kv_tokens": np.array([profile.max_kv_tokens])} if name == "decode" else {}
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **table, **more)
        made[f"{FOLDERS[name]}/raw_data.npz"] = buffer.getvalue()
        made[f"{name}_raw_data.json"] = (json_text(profile, name) + "\n").encode()
    return made


def json_text(profile: Profile, name: str) -> str:
    """One table as the JSON that a ConfigMap can hold."""
    table = {"prefill": profile.prefill, "decode": profile.decode}[name]
    plain = {key: [round(float(x), 6) for x in values] for key, values in table.items()}
    if name == "decode":
        plain["max_kv_tokens"] = profile.max_kv_tokens  # pyright: ignore[reportArgumentType]
    return json.dumps(plain)


def read_profile(folder: Path) -> Profile:
    """The profile in a folder, from either form; pickled objects are refused."""
    prefill_table = _read(folder, "prefill", PREFILL)
    decode_table = _read(folder, "decode", (*DECODE, "max_kv_tokens"))
    tokens = decode_table.pop("max_kv_tokens")
    return Profile(prefill_table, decode_table, int(tokens.ravel()[0]))


def _read(folder: Path, name: str, keys: tuple[str, ...]) -> dict[str, np.ndarray]:
    packed, plain = folder / FOLDERS[name] / "raw_data.npz", folder / f"{name}_raw_data.json"
    try:
        if packed.is_file():
            with np.load(packed, allow_pickle=False) as held:
                arrays = {key: np.asarray(held[key], dtype=float) for key in held.files}
        elif plain.is_file():
            raw = read_json(plain)
            if not isinstance(raw, dict):
                raise InputError(f"{plain}: must be a table of columns.")
            arrays = {key: np.asarray(value, dtype=float) for key, value in raw.items()}
        else:
            raise InputError(f"{folder}: neither {packed.relative_to(folder)} nor {plain.name}.")
    except (ValueError, TypeError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{folder}: {name} profile: {error}.") from None
    missing = [key for key in keys if key not in arrays]
    if missing:
        raise InputError(f"{folder}: the {name} profile lacks {', '.join(missing)}.")
    columns = {key: arrays[key] for key in keys}
    sizes = {len(arrays[key]) for key in keys if key != "max_kv_tokens"}
    # Lengths, times and rates are more than 0; the part of the cache in use may be 0.
    least = {key: 0.0 if key == "x_kv_usage" else 1e-12 for key in columns}
    real = all(np.isfinite(v).all() and (v >= least[key]).all() for key, v in columns.items())
    if len(sizes) != 1 or not min(sizes) or not real or not columns[keys[-1]].size:
        raise InputError(
            f"{folder}: the {name} profile's columns must be as long as one another, at least one "
            "value, and numbers above 0 (x_kv_usage: 0 or more)."
        )
    return columns
