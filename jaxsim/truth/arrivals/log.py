"""How is an engine's log of requests read, with what its server was started with beside it?"""

from pathlib import Path

import numpy as np

from jaxsim.catalog.documents import read_json
from jaxsim.catalog.errors import InputError
from jaxsim.traffic.layout import Layout
from jaxsim.traffic.read.files import read_trace
from jaxsim.truth.arrivals.table import VLLM_SEQUENCES, VLLM_TOKENS, ArrivalRun
from jaxsim.truth.read.clients.stated import Stated
from jaxsim.truth.read.rows import ServingRow

SUFFIX = ".requests.jsonl"
META = ".meta.json"


def is_log(path: Path) -> bool:
    """Whether a file is a log of requests with its settings beside it."""
    return path.name.endswith(SUFFIX)


def read(path: Path, stated: Stated) -> ArrivalRun:
    """The run of a log. Its GPU is stated, or the first word of the file's name."""
    settings = path.with_name(path.name.removesuffix(SUFFIX) + META)
    try:
        meta = read_json(settings, "It says how the server was started.")
        if not isinstance(meta, dict):
            raise TypeError("no object")
        engine = dict(meta["engine_kwargs"])
        version = str(meta.get("vllm_version", ""))
    except InputError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{settings}: a JSON object with engine_kwargs is needed: {type(error).__name__} "
            f"{error}."
        ) from None
    requests = read_trace(path)
    if not {"ttft_s", "e2e_s"} <= set(requests.measured):
        raise InputError(
            f"{path}: the log has no queued_ts, first_token_ts and last_token_ts of every request."
        )
    ttft, e2e = requests.measured["ttft_s"], requests.measured["e2e_s"]
    tpot = (e2e - ttft) / np.maximum(requests.osl - 1, 1)
    shape = (_whole(settings, engine, name) for name in ("tensor_parallel_size",))
    row = ServingRow(
        id=path.name.removesuffix(SUFFIX),
        line=1,
        source=path.name,
        model=stated.model or str(engine.get("model", meta.get("model", ""))),
        hardware=stated.hardware or path.name.split("-")[0],
        framework="vllm",
        version=version,
        precision=stated.precision or str(engine.get("dtype", "")),
        formats=("", ""),
        mode="colocated",
        load="open",
        isl=float(requests.isl.mean()),
        osl=float(requests.osl.mean()),
        isl_max=float(requests.isl.max()),
        osl_max=float(requests.osl.max()),
        concurrency=None,
        requests_per_s=requests.requests_per_s,
        decode=Layout(next(shape), 1.0, 1.0, 1.0),
        prefill=None,
        ttft_s=float(ttft.mean()),
        tpot_s=float(tpot.mean()),
        output_tokens_per_s_per_gpu=None,
    )
    measured = {
        f"{name}_{what}": float(value)
        for name, own in (("ttft", ttft), ("tpot", tpot), ("e2e", e2e))
        for what, value in (
            ("mean", own.mean()), ("p50", np.quantile(own, 0.5)), ("p90", np.quantile(own, 0.9)),
            ("p99", np.quantile(own, 0.99)),
        )
    }  # fmt: skip
    return ArrivalRun(
        row=row,
        family=row.id,
        cv=1.0,
        duration_s=requests.duration_s,
        replicas=1,
        sequences=_whole(settings, engine, "max_num_seqs", VLLM_SEQUENCES),
        tokens=_whole(settings, engine, "max_num_batched_tokens", VLLM_TOKENS),
        shared=0.0,
        timeout_s=float("inf"),
        overload=False,
        measured=measured,
        requests=requests,
    )


def _whole(path: Path, table: dict[str, object], name: str, default: float = 1.0) -> float:
    """A positive whole number of the settings; the default where it is absent or null."""
    value = table.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"{path}: {name} is {value!r}; a whole number of at least 1 is needed.")
    return float(value)
