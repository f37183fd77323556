"""How is a table of published serving runs read (one line a run, whatever its publisher states)?"""

import re
from pathlib import Path

from jaxsim.catalog.speculation import speculation_prior
from jaxsim.traffic.layout import Layout
from jaxsim.truth.read.rows import ServingRow
from jaxsim.truth.read.table import Line, check_columns

REQUIRED = {"id", "model", "precision", "gpu", "framework", "mode", "isl", "osl"}
_NUMBERS = (
    "n_gpus tp ep dp pp batch_or_concurrency ttft_ms tpot_ms tok_s_gpu tok_s_user tok_s_total "
    "tok_s_gpu_inout n_prefill_gpus n_decode_gpus prefill_tp prefill_ep ttft_p50_ms ttft_p99_ms "
    "tpot_p50_ms tpot_p99_ms e2e_mean_s isl_mean osl_mean power_w"
)
_WORDS = (
    "source url date notes tok_basis prefill_dpattn decode_dpattn spec_decode load_pattern slo "
    "quality regime stratum curve_group split"
)
OPTIONAL = {*_NUMBERS.split(), *_WORDS.split()}
MODES = {
    "agg": "colocated",
    "disagg": "disaggregated",
    "prefill_only": "prefill_only",
    "decode_only": "decode_only",
}


def _stated(notes: str, name: str) -> float | None:
    match = re.search(rf"{name} workers=(\d+)", notes)
    return float(match[1]) if match else None


def pool_of(
    gpus: float | None,
    workers: float | None,
    tp: float | None,
    ep: float | None,
    spread: bool | None,
    pp: float | None,
) -> Layout | None:
    """A pool of `gpus`: instances as wide as their GPUs allow; attention `spread` or not.

    `tp` counts the GPUs of an instance, data-parallel attention included, or is 1 where only the
    number of instances says how wide they are.
    """
    stages = pp or 1.0
    if workers and gpus:
        width = gpus / workers / stages
    elif tp:
        width = max(tp, ep or 1.0) if spread else tp
        workers = gpus / (width * stages) if gpus else 1.0
    else:
        return None
    if width < 1 or width != int(width) or workers != int(workers):
        return None
    note = ""
    if spread:
        if ep is not None and 1 < ep < width:
            note = "experts taken as parallel over all GPUs of an instance"
        return Layout(1.0, width, stages, workers, note)
    experts = min(ep or 1.0, width)
    return Layout(width, experts, stages, workers, note)


def read(path: Path, columns: list[str], lines: list[Line]) -> list[ServingRow]:
    """The rows of a table of published runs."""
    check_columns(path, columns, REQUIRED, OPTIONAL, "published-run")
    return [_row(line) for line in lines]


def _load(line: Line, concurrency: float | None) -> str:
    words = line.text("load_pattern").lower()
    if "offline" in words and "conc=" not in words:
        return "offline"
    if "server" in words or "interactive" in words or "poisson" in words:
        return "open"
    if "saturated" in words:
        return "offline"
    return "closed" if concurrency else "offline"


def _speculation(word: str) -> str:
    if not word or word.lower() == "none":
        return "none"
    return "mtp"


def _row(line: Line) -> ServingRow:
    stated_mode = line.text("mode", "agg")
    if stated_mode not in MODES:
        raise line.error("mode", f"is {stated_mode!r}; allowed are {', '.join(MODES)}")
    notes, mode = line.text("notes"), MODES[stated_mode]
    number = line.number_of
    concurrency = number("batch_or_concurrency", zero=False)
    whole = line.whole_of
    pp = whole("pp")
    spread = line.flag("decode_dpattn")
    gpus = whole("n_decode_gpus" if mode == "disaggregated" else "n_gpus")
    tp, ep, dp = whole("tp"), whole("ep"), whole("dp")
    refused, excluded = "", ""
    if spread is None and dp and tp and dp > 1:
        spread = True
    prefill = None
    if mode == "disaggregated":
        decode = pool_of(gpus, _stated(notes, "decode"), tp, ep, spread, pp)
        prefill = pool_of(
            whole("n_prefill_gpus"),
            _stated(notes, "prefill"),
            whole("prefill_tp"),
            whole("prefill_ep"),
            line.flag("prefill_dpattn"),
            None,
        )
        if prefill is None:
            refused = "layout of the prefill pool not stated"
    else:
        one_width = max(tp or 1.0, (ep or 1.0) if spread else 1.0) * (pp or 1.0)
        decode = pool_of(gpus or (one_width if tp else None), None, tp, ep, spread, pp)
    if decode is None:
        refused = "parallel layout not stated"
    isl, osl = number("isl", zero=False), number("osl", zero=False)
    if isl is None or osl is None:
        refused = "lengths not stated"
    basis = line.text("tok_basis", "output")
    rate = number("tok_s_gpu") if basis.startswith("output") else None
    load = _load(line, concurrency)
    if load == "closed" and concurrency is None:
        refused = refused or "concurrency not stated"
    if load == "open":
        refused = refused or "arrival rate under a latency limit not stated"
    if "phase" in line.text("load_pattern") or mode in ("prefill_only", "decode_only"):
        refused = refused or "one phase alone; see the kernels' accuracy"
    if line.text("quality") == "C":
        excluded = "simulated, preview or unclear"
    speculation = _speculation(line.text("spec_decode"))
    drafts, accepted = 0.0, 0.0
    if speculation != "none":
        excluded = excluded or "speculative decoding with unstated acceptance"
        prior = speculation_prior()
        stated = re.search(r"MTP\s*(\d+)", line.text("spec_decode"))
        drafts, accepted = float(stated[1]) if stated else prior.draft_tokens, prior.accept_frac
    medians = "MEDIANS" in notes
    ttft, tpot = number("ttft_ms"), number("tpot_ms")
    median = number("ttft_p50_ms")
    lengths = (number("isl_mean"), number("osl_mean"))
    return ServingRow(
        id=line.need("id"),
        line=line.number,
        source=line.text("source", "published runs"),
        model=line.need("model"),
        hardware=line.need("gpu"),
        framework=line.need("framework"),
        version=_version(notes),
        precision=line.text("precision", "bf16"),
        formats=("", ""),
        mode=mode,  # type: ignore[arg-type]
        load=load,  # type: ignore[arg-type]
        isl=lengths[0] or isl or 1.0,
        osl=lengths[1] or osl or 1.0,
        isl_max=isl or 1.0,
        osl_max=osl or 1.0,
        concurrency=concurrency,
        requests_per_s=None,
        decode=decode,
        prefill=prefill,
        ttft_s=None if ttft is None or medians else 1e-3 * ttft,
        tpot_s=None if tpot is None else 1e-3 * tpot,
        output_tokens_per_s_per_gpu=rate if rate else None,
        speculation=speculation,  # type: ignore[arg-type]
        client="inferencex" if "InferenceX" in line.text("source") else "",
        ttft_median_s=1e-3 * median
        if median is not None
        else (1e-3 * ttft if medians and ttft else None),
        excluded=excluded,
        refused=refused,
        draft_tokens=drafts,
        accept_frac=accepted,
        date=line.text("date"),
    )


def _version(notes: str) -> str:
    match = re.search(r"image=\S*?:v?([0-9][\w.\-]*)", notes)
    return match[1] if match else ""
