"""How is a table of serving points read (one column for every width of every pool)?

The layout of the points that AIConfigurator's core package ships. Its widths were derived from
others by several converters; `pool` takes them back where they cannot be meant as they stand.
"""

import re
from dataclasses import replace
from pathlib import Path

from jaxsim.traffic.layout import Layout
from jaxsim.truth.read.drafted import set_apart
from jaxsim.truth.read.rows import ServingRow, implied_tokens_per_s_per_gpu
from jaxsim.truth.read.table import Line, check_columns

_WIDTHS = ("tp_size", "pp_size", "attention_dp_size", "moe_tp_size", "moe_ep_size")
REQUIRED = {
    "id",
    "backend",
    "model_path",
    "system",
    "mode",
    "isl",
    "osl",
    "silicon_ttft_ms",
    "silicon_tpot_ms",
    *_WIDTHS,
}
OPTIONAL = {
    "concurrency",
    "measured",
    "image",
    "backend_version",
    "precision",
    "gemm_quant_mode",
    "moe_quant_mode",
    "batch_size",
    *(
        f"{pool}_{name}"
        for pool in ("prefill", "decode")
        for name in (*_WIDTHS, "batch_size", "num_workers")
    ),
}

# InferenceX draws lengths uniformly from [0.8, 1] of the nominal ones.
INFERENCEX_MEAN = 0.9
_INFERENCEX_ID = re.compile(r"(_cfg\d+$)|(^20\d\d_\d\d_\d\d_)|(gap_analysis)")
_STATED = re.compile(r"_tp(\d+)_(?:0_)?ep(\d+)")
_NODE_GPUS = 8.0  # no system of this layout has more GPUs in a node


def pool(line: Line, prefix: str, workers: float) -> Layout | None:
    """The layout of one pool, None where its widths are blank.

    Attention has `tp_size` x `attention_dp_size` GPUs, and the experts `moe_tp_size` x
    `moe_ep_size`. Where both stated products are the square of a width k that the row names or
    repeats (k experts' ranks on k GPUs, multiplied once too often), the pool has k GPUs.
    """
    tp = line.whole_of(f"{prefix}tp_size")
    if not tp:
        return None
    stated_ranks = line.whole_of(f"{prefix}attention_dp_size")
    moe_tp = line.whole_of(f"{prefix}moe_tp_size") or 1.0
    moe_ep = line.whole_of(f"{prefix}moe_ep_size") or 1.0
    pp = line.whole_of(f"{prefix}pp_size") or 1.0
    ranks = stated_ranks or max(moe_tp * moe_ep / tp, 1.0)
    stated = _STATED.search(line.text("id"))
    named = (float(stated[1]), float(stated[2])) if stated and not prefix else None
    gpus, note = tp * ranks, ""
    if moe_tp == moe_ep > 1 and gpus == moe_tp * moe_ep and (gpus > _NODE_GPUS or named):
        if gpus > _NODE_GPUS or named == (moe_tp, moe_ep):
            gpus, moe_tp, note = moe_ep, 1.0, "widths had been multiplied by one another"
            tp = 1.0 if ranks > 1 else gpus
    elif tp == ranks > 1 and moe_tp == 1 and moe_ep == gpus:
        # vLLM's engines with data-parallel attention have tensor-parallel width 1.
        gpus, moe_ep, note = tp, tp, "data-parallel attention over the stated tensor width"
        tp = 1.0
    ep = moe_ep if moe_tp * moe_ep in (gpus, 1.0) or moe_ep <= gpus else gpus
    if tp < gpus and ep < gpus:
        note = note or "experts split by tensor under data-parallel attention, taken as parallel"
        ep = gpus
    return Layout(tp, ep, pp, workers, note)


def read(path: Path, columns: list[str], lines: list[Line]) -> list[ServingRow]:
    """The rows of a table of serving points."""
    check_columns(path, columns, REQUIRED, OPTIONAL, "serving-point")
    return set_apart([_row(line) for line in lines])


def _row(line: Line) -> ServingRow:
    mode = line.need("mode")
    if mode not in ("agg", "disagg"):
        raise line.error("mode", f"is {mode!r}; agg or disagg is needed")
    own = _INFERENCEX_ID.search(line.need("id")) is not None
    mean = INFERENCEX_MEAN if own else 1.0
    isl, osl = line.number_of("isl", zero=False), line.number_of("osl", zero=False)
    if isl is None or osl is None:
        raise line.error("isl" if isl is None else "osl", "is blank; a length is needed")
    refused, excluded = "", ""
    if mode == "agg":
        prefill, decode = None, pool(line, "", 1.0)
    else:
        counts = [line.whole_of(f"{name}_num_workers") for name in ("prefill", "decode")]
        prefill = pool(line, "prefill_", counts[0] or 1.0)
        decode = pool(line, "decode_", counts[1] or 1.0)
        if None in counts:
            excluded = "worker counts not stated; one of each assumed"
        if prefill is None:
            refused = "layout of the prefill pool not stated"
    if decode is None:
        refused = "layout not stated"
    speculation = "unknown" if "deepseek" in line.need("model_path").lower() else "none"
    if speculation == "unknown":
        excluded = excluded if excluded else "speculative decoding not stated"
    concurrency = line.number_of("concurrency", zero=False)
    per_decoder = line.number_of("decode_batch_size", zero=False)
    if concurrency is None and per_decoder is not None and decode is not None:
        concurrency = per_decoder * decode.workers
        excluded = excluded or "concurrency not stated; taken from the decode batch"
    if concurrency is None:
        refused = refused or "concurrency not stated"
    ttft, tpot = (line.number_of(f"silicon_{name}_ms") for name in ("ttft", "tpot"))
    row = ServingRow(
        id=line.need("id"),
        line=line.number,
        source="serving points",
        model=line.need("model_path"),
        hardware=line.need("system"),
        framework=line.need("backend"),
        version=line.text("backend_version"),
        precision=line.text("precision", "bf16"),
        formats=(line.text("gemm_quant_mode"), line.text("moe_quant_mode")),
        mode="colocated" if mode == "agg" else "disaggregated",
        load="closed",
        isl=isl * mean,
        osl=osl * mean,
        isl_max=isl,
        osl_max=osl,
        concurrency=concurrency,
        requests_per_s=None,
        decode=decode,
        prefill=prefill,
        ttft_s=None if ttft is None else 1e-3 * ttft,
        tpot_s=None if tpot is None else 1e-3 * tpot,
        output_tokens_per_s_per_gpu=None,
        speculation=speculation,
        client="inferencex" if own else "",
        excluded=excluded,
        refused=refused,
    )
    return replace(row, output_tokens_per_s_per_gpu=implied_tokens_per_s_per_gpu(row))
