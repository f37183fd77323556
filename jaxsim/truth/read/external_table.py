"""How is a table of third parties' serving runs read (one line a run, clients of every kind)?

The columns say how many prompts a run had, and under which regime it was judged: a run whose
prompts all wait at its start is a queue, not a steady state.
"""

import re
from pathlib import Path

from jaxsim.catalog.engine_limits import Limits
from jaxsim.catalog.errors import InputError
from jaxsim.traffic.layout import Layout
from jaxsim.truth.read.rows import ServingRow
from jaxsim.truth.read.table import Line, check_columns

REQUIRED = {"id", "engine", "model", "gpu", "precision", "isl_mean", "osl_mean", "regime"}
_MORE = (
    "source engine_version gpus tp ep dp pp mode kv_precision concurrency rate_rps num_prompts "
    "prefix_hits spec_decode ttft_mean_ms ttft_p50_ms ttft_p99_ms tpot_mean_ms tpot_p50_ms "
    "tpot_p99_ms itl_mean_ms out_tok_per_s req_per_s duration_s quality note max_num_seqs "
    "max_num_batched_tokens memory_frac arrivals"
)
OPTIONAL: set[str] = set(_MORE.split())
# What tables call runs whose prompts and tokens are processed by the same instances.
COLOCATED = ("aggregated", "agg", "colocated")
# Of output lengths of conversations; those of ShareGPT, and of traces of chats, are near it.
NATURAL_CV = 1.0
NOMINAL = 0.01
# Options of a server, as collectors write them among their notes.
_SEQUENCES = re.compile(r"max-num-seqs (\d+)|at most (\d+) sequences")
REGIMES = ("steady", "low_load", "prefill_bound", "finite_burst")


def layout_of(
    gpus: float | None, tp: float | None, ep: float, dp: float, pp: float
) -> Layout | None:
    """The one instance of a run: attention of `tp` ranks in each of `dp` replicas.

    vLLM's width counts the GPUs of one replica (gpus = tp · dp · pp), SGLang's all of them (gpus =
    tp · pp). Experts under data-parallel attention are taken as parallel over the whole stage.
    """
    if not tp:
        return None
    if dp <= 1:
        return Layout(tp, min(ep, tp), pp)
    over_all = gpus is not None and gpus == tp * pp
    width = tp if over_all else tp * dp
    attention = width / dp
    if attention != int(attention) or (gpus is not None and gpus != width * pp):
        return None
    note = "" if ep == width else "experts taken as parallel over all GPUs of an instance"
    return Layout(attention, width, pp, 1.0, note)


def hits_of(word: str) -> float:
    """The stated part of a prompt that was found in a prefix cache; 0 where only assumed."""
    try:
        return min(max(float(word), 0.0), 1.0)
    except ValueError:
        return 0.0


def spread_of(isl: float | None, osl: float | None) -> float:
    """The coefficient of variation of output lengths: 1 of conversations, 0 of stated lengths.

    Means of lengths that are drawn from conversations (ShareGPT) are no whole numbers, and those of
    prompts are not within 1 % of a number of one digit, as 3,995.9 is. Outputs of conversations are
    about exponential.
    """
    if isl is None or osl is None or isl == int(isl) or osl == int(osl):
        return 0.0
    nominal = float(f"{isl:.0e}")
    return 0.0 if abs(isl / nominal - 1.0) < NOMINAL else NATURAL_CV


def sequences_of(note: str) -> float | None:
    """The cap of sequences that a note states; None where it states none."""
    match = _SEQUENCES.search(note)
    return float(match[1] or match[2]) if match else None


def read(path: Path, columns: list[str], lines: list[Line]) -> list[ServingRow]:
    """The rows of a table of third parties' runs."""
    check_columns(path, columns, REQUIRED, OPTIONAL, "third-party")
    return [_row(line) for line in lines]


def _seconds(line: Line, *columns: str) -> float | None:
    for column in columns:
        value = line.number_of(column)
        if value is not None:
            return 1e-3 * value
    return None


def _row(line: Line) -> ServingRow:
    number, whole = line.number_of, line.whole_of
    regime = line.need("regime")
    if regime not in REGIMES:
        raise line.error("regime", f"is {regime!r}; allowed are {', '.join(REGIMES)}")
    gpus = whole("gpus")
    layout = layout_of(
        gpus, whole("tp"), whole("ep") or 1.0, whole("dp") or 1.0, whole("pp") or 1.0
    )
    isl, osl = number("isl_mean", zero=False), number("osl_mean", zero=False)
    concurrency, rate = number("concurrency", zero=False), number("rate_rps", zero=False)
    prompts = whole("num_prompts")
    refused = ""
    if layout is None:
        refused = "parallel layout not stated"
    if isl is None or osl is None:
        refused = "lengths not stated"
    if line.text("mode", "colocated") not in COLOCATED:
        refused = "only co-located runs have columns for their layout"
    if concurrency is None and rate is None and prompts is None:
        refused = refused or "neither concurrency, a request rate nor a number of prompts is stated"
    excluded = ""
    if line.text("quality") == "C":
        excluded = "of doubtful quality, as its collector says"
    drafts = line.text("spec_decode", "no").lower() not in ("no", "none")
    if drafts:
        excluded = excluded or "speculative decoding with unstated acceptance"
    note, arrivals = line.text("note"), line.text("arrivals").lower()
    if arrivals not in ("", "constant", "poisson"):
        raise line.error("arrivals", f"is {arrivals!r}; allowed are constant, poisson")
    even = arrivals == "constant" or (not arrivals and "constant arrivals" in note)
    try:
        limits = Limits(whole("max_num_seqs") or sequences_of(note), number("memory_frac"))
    except InputError as error:
        raise line.error("max_num_seqs, memory_frac", str(error)) from None
    output, served = number("out_tok_per_s"), layout.gpus if layout else gpus
    return ServingRow(
        id=line.need("id"),
        line=line.number,
        source=line.text("source", "third parties"),
        model=line.need("model"),
        hardware=line.need("gpu"),
        framework=line.need("engine"),
        version=line.text("engine_version"),
        precision=_precision(line),
        formats=("", ""),
        mode="colocated",
        load="open" if rate is not None else "closed",
        isl=isl or 1.0,
        osl=osl or 1.0,
        isl_max=isl or 1.0,
        osl_max=osl or 1.0,
        concurrency=None if rate is not None else (concurrency or prompts),
        requests_per_s=rate,
        decode=layout,
        prefill=None,
        ttft_s=_seconds(line, "ttft_mean_ms", "ttft_p50_ms"),
        tpot_s=_seconds(line, "tpot_mean_ms", "tpot_p50_ms"),
        output_tokens_per_s_per_gpu=output / served if output and served else None,
        speculation="mtp" if drafts else "none",
        ttft_median_s=_seconds(line, "ttft_p50_ms"),
        excluded=excluded,
        refused=refused,
        regime=regime,
        prompts=prompts,
        osl_cv=spread_of(isl, osl),
        default_limits=True,
        limits=limits,
        batched_tokens=number("max_num_batched_tokens", zero=False),
        even=even,
        of_medians=number("ttft_mean_ms") is None,
        hit_frac=hits_of(line.text("prefix_hits")),
    )


def _precision(line: Line) -> str:
    """The label of weights and, where it is stated, of the cache."""
    weights, cache = line.need("precision"), line.text("kv_precision").lower()
    if cache.startswith("fp8"):
        return f"{weights}, fp8 kv"
    return f"{weights}, fp16 kv" if cache.startswith(("bf16", "fp16")) else weights
