"""Of the public cases that people met, which does jaxsim get right, and why not the others?

    python -m benchmarks.accuracy.cases DIR [--json FILE] [--markdown FILE] [--only P01,P02]

DIR holds `cases.csv`, `case_inputs/` and `external_open.csv`, which are not in this repository.
What was measured is read from the column `right` of a case: its numbers, in their order. A
prediction is *right* within 20 % of each of them. A result file is right if it is read and
predicted, or refused for the reason that holds; a refusal if what cannot be served is refused and
what can is not. `causes.toml` has why predictions are off, and which number shows it.
"""

import argparse
import csv
import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jaxsim
from jaxsim.catalog.engine_limits import Limits
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.load import load_model, load_precision
from jaxsim.truth.read.clients.stated import Stated
from jaxsim.truth.read.readers import read_rows
from jaxsim.truth.validate import validate

NEAR = 0.2
PER = {"tpot_ms": ("tpot_s", 1e3), "ttft_ms": ("ttft_s", 1e3), "ttft_s": ("ttft_s", 1.0)}
# Why a case is off, and which number shows it.
CAUSES = tomllib.loads((Path(__file__).parent / "causes.toml").read_text(encoding="utf-8"))
OPEN = {
    "P06": "no numbers are given",
    "P24": "the GPU is not stated, and no latency is given",
    "P26": "lengths are not in the collection",
    "P42": "what was measured is not in the collection",
}


def serve(model, hardware, engine, precision, isl, osl, load, measure, tp=1.0, ep=1.0, **more):
    """One number of a deployment under load.

    Precision `fp8-kv16` is FP8 with a cache and attention in 16 bits, as vLLM and SGLang run an FP8
    checkpoint where nothing else is asked for.
    """
    names = ("prompts", "limits", "osl_cv")
    options = {name: more.pop(name) for name in names if name in more}
    if precision == "fp8-kv16":
        preset = load_precision("fp8", load_model(model))
        precision = replace(preset, kv="bf16", attention_math="bf16")
    workload = jaxsim.Workload(isl=float(isl), osl=float(osl), **more)
    arrivals = load if isinstance(load, dict) else {"concurrency": float(load)}
    result = jaxsim.serve(
        model, hardware, workload, tp=tp, ep=ep, engine=engine, precision=precision, **arrivals,
        **options,
    )  # fmt: skip
    if measure in PER:
        name, scale = PER[measure]
        return scale * getattr(result, name)
    gpus = 1.0 if measure == "tok_s_gpu" else result.gpus
    rate = (
        result.requests_per_s if measure == "req_s" else result.output_tokens_per_s_per_gpu * gpus
    )
    return rate


def each(model, hardware, engine, precision, cases, measures, tp=1, **more) -> list[Callable]:
    """Several loads, each measured in several ways, the measures outer."""
    return [
        lambda c=case, m=measure: serve(
            model, hardware, engine, precision, *c, measure=m, tp=tp, **more
        )
        for measure in measures
        for case in cases
    ]


def offline(model, hardware, engine, precision, isl, osl, prompts, tp=1, **more):
    """Output tokens/s of a run whose prompts all come at once."""
    return lambda: serve(
        model, hardware, engine, precision, isl, osl, prompts, "tok_s", tp=tp, prompts=prompts,
        **more,
    )  # fmt: skip


SHARE = [(233, 221, n) for n in (1, 2, 4, 8)]
LONG = [(32000, 100, 100), (3995, 200, 500), (1997, 100, 500)]
BOTH = ("tpot_ms", "ttft_ms")
# Output lengths of ShareGPT are about exponential; uniform ones from 1 on have a third's root.
CHAT, UNIFORM = 1.0, 3.0**-0.5


# What was measured where a case says it elsewhere than in its column `right`: passes of
# gpt-oss-120b over 41,000 tokens, and over less than 1,000.
RIGHT = {"P04": "609 and 31 ms"}


def numbers_of(folder: Path) -> dict[str, list[Callable]]:
    """What to predict for each case, in the order of the numbers that are right."""
    llama, r1 = "llama-3.1-8b", "deepseek-r1"

    def cached(hit):
        return serve(llama, "h100", "vllm", "bf16", 14808, 50, 1, "ttft_s", hit_frac=hit)

    def drafted():
        run = (r1, "h200", "vllm", "fp8-kv16", 1000, 1000, 1, "tpot_ms")
        plain = serve(*run, tp=8)
        return plain / serve(*run, tp=8, draft_tokens=1.0, accept_frac=0.82)

    def design(phase, ep, batch, isl, osl, output, **more):
        workload = jaxsim.Workload(isl=float(isl), osl=float(osl))
        # Two batches overlap there, so that messages are hidden.
        options = jaxsim.Options(comm_overlap_frac=1.0)
        names: dict[str, Any] = {"engine": "sglang", "precision": "fp8", "phase": phase}
        names["options"] = options
        result = jaxsim.estimate(
            "deepseek-v3", "h100", workload, tp=1, ep=ep, batch=batch, **names, **more
        )
        if not result.feasible:
            raise InputError(f"breaks {[n for n, kept in result.rules.items() if not kept]}")
        return result.outputs[output]

    def places(tp):
        workload, limits = jaxsim.Workload(isl=1e6, osl=64.0), Limits(memory_frac=0.95)
        return jaxsim.serve(
            "deepseek-v4-flash", "b200", workload, tp=tp, ep=8, engine="vllm", concurrency=64,
            limits=limits,
        ).slots  # fmt: skip

    def passes_ms(tokens):
        workload = jaxsim.Workload(isl=tokens, osl=100.0)
        return 1e3 * jaxsim.estimate(
            "gpt-oss-120b", "b200", workload, phase="prefill", tp=1, engine="trtllm"
        ).total_s  # fmt: skip

    with (folder / "external_open.csv").open(encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if r["source"].startswith("LLMServingSim")]
    lengths = next((r["isl_mean"], r["osl_mean"]) for r in rows if r["model"] == llama)
    cap = {"limits": Limits(max_sequences=128.0), "prompts": 300.0}
    return {
        "P01": each("qwen3-8b", "h200", "vllm", "bf16", [(9000, 30, 16)], ["tpot_ms"]),
        "P02": each("qwen3-8b", "h200", "vllm", "bf16", [(9000, 30, 32)], ["tpot_ms"]),
        "P04": [lambda: passes_ms(41_000.0), lambda: passes_ms(500.0)],
        "P09": each(r1, "h100", "sglang", "fp8-kv16",
                    [(n, 128, 1) for n in (128, 2048, 8192)], BOTH, tp=16),
        "P10": each("qwen3-1.7b", "a100", "vllm", "bf16", [(n, 128, 1) for n in (128, 1024, 2048)],
                    BOTH),
        "P12": [offline("qwen3-8b", "h100", "vllm", p, 1024, 2048, 1000)
                for p in ("bf16", "fp8-kv16")],
        "P13": [offline("qwen3-32b", "h100", "vllm", "bf16", 217, 200, 1000, osl_cv=CHAT,
                        limits=Limits(max_sequences=32.0))],
        "P14": each("qwen3-235b-a22b", "h200", "vllm", "bf16", [(10240, 1024, 4)],
                    ["ttft_s", "tok_s_gpu"], tp=4, prompts=50.0),
        "P15": each("llama-3.3-70b", "b200", "vllm", "fp8-kv16", [(512, 512, 1), (512, 512, 16)],
                    ["tpot_ms"], tp=2),
        "P16": [
            *each(r1, "h200", "vllm", "fp8-kv16", [(1600, 600, 8)], ["ttft_ms"], tp=8),
            *each(r1, "h200", "vllm", "fp8-kv16", [(1600, 600, 8), (1600, 600, 32)], ["ttft_ms"],
                  tp=8, ep=8),
        ],
        "P17": [offline("llama-3.1-405b", "h100", "vllm", "fp8-kv16", 128, 512, 32, tp=8)],
        "P18": each("llama-3.1-405b", "h200", "trtllm", "fp8", [(128, 2048, 3000)], ["tok_s_gpu"],
                    tp=8),
        "P20": [offline("deepseek-v3", "h200", "sglang", "fp8-kv16", 93, 201, 600, tp=8,
                        osl_cv=UNIFORM)],
        "P21": each("qwen3-235b-a22b", "a100", "vllm", "bf16", [(1000, 1000, 32)], ["tok_s"], tp=8),
        "P22": [drafted],
        "P28": each(llama, "rtx-pro-6000", "vllm", "bf16", [(*lengths, 300)], ["tpot_ms"], **cap),
        "P29": each("llama-3.3-70b", "h200", "vllm", "bf16", [(10000, 100, 4)],
                    ["ttft_s", "req_s"], tp=2),
        "P30": [lambda: cached(0.0) / cached(0.999)],
        "P31": each(llama, "h100", "vllm", "bf16", [(21000, 920, {"requests_per_s": 3.0})],
                    ["ttft_ms"], hit_frac=0.997),
        "P33": each("qwen3-8b", "h100", "vllm", "bf16", SHARE, BOTH),
        "P34": each("qwen3-8b", "h100", "sglang", "bf16", [SHARE[2]], BOTH),
        "P35": each("qwen3-8b", "h100", "sglang", "fp8-kv16", [SHARE[2]], BOTH),
        "P36": each("qwen3-8b", "h100", "trtllm", "bf16", [SHARE[2]], BOTH),
        "P38": [offline("qwen3-14b", "h100", "sglang", "fp8-kv16", *case) for case in LONG],
        "P39": [offline("qwen3-14b", "h100", "vllm", "bf16", *case) for case in LONG],
        "P41": [offline("qwen3-32b", "h100", "trtllm", "fp8-kv16", *case) for case in LONG],
        "P43": [
            *each("gpt-oss-120b", "a100", "vllm", None, [SHARE[2]], ["tpot_ms"]),
            *each("gpt-oss-120b", "a100", "vllm", None, [SHARE[2]], ["tpot_ms"]),
            *each("gpt-oss-120b", "h100", "vllm", None, [SHARE[2]], ["tpot_ms"]),
            *each("gpt-oss-120b", "h100", "vllm", None, [SHARE[2]], ["tpot_ms"], tp=2),
        ],
        "P44": [offline("qwen3-32b", "h100", "vllm", "bf16", 217, 200, 1000, osl_cv=CHAT),
                offline("gpt-oss-120b", "h100", "vllm", None, 217, 200, 1000, osl_cv=CHAT)],
        "P46": [
            lambda: design("decode", 72, 18432, 2000, 100, "output_tokens_per_s_per_gpu"),
            lambda: design("prefill", 32, 256, 2000, 100, "input_tokens_per_s_per_gpu", chunk=2000),
        ],
        "P79": [lambda: places(1) / places(8)],
    }  # fmt: skip


def refusals_of(folder: Path) -> dict[str, tuple[Callable, bool]]:
    """What to try for each case, and whether it must be refused."""
    inputs = folder / "case_inputs"

    def served(model, hardware="h100", **more):
        workload = jaxsim.Workload(isl=1024.0, osl=128.0)
        return jaxsim.serve(str(model), hardware, workload, concurrency=8, engine="vllm", **more)

    def wide():
        workload = jaxsim.Workload(isl=4096.0, osl=1024.0)
        result = jaxsim.plan(
            "deepseek-v3", "h100", workload, ftl_s=5.0, ttl_s=0.1, engine="sglang",
            space=jaxsim.Space(ep=(32,)),
        )  # fmt: skip
        if result.recommended is None:
            raise InputError("no plan")

    def four_bits():
        result = jaxsim.estimate(
            str(inputs / "llama70b-awq.json"), "h100", jaxsim.Workload(isl=1024.0, osl=128.0),
            phase="decode", tp=1, engine="vllm",
        )  # fmt: skip
        if result.memory["weights_bytes"] > 45e9:
            raise InputError("the format of the file is ignored")

    return {
        "P47": (lambda: served("llama-3.1-405b", tp=1), True),
        "P48": (lambda: served("llama-3.1-8b", tp=3), True),
        "P49": (lambda: served(inputs / "qwen2.5-7b.json", tp=8), True),
        "P51": (wide, False),
        "P52": (lambda: served(inputs / "phi4.json", tp=1), False),
        "P54": (four_bits, False),
        "P55": (lambda: served("llama-3.1-8b", str(inputs / "l40s.toml"), tp=1), False),
        "P56": (lambda: served("glm-4.5-air", tp=2, precision="bf16"), True),
    }


ONE = {"hardware": "h100", "engine": "vllm", "tp": 1.0}
TWO_POOLS = {"tp": 8.0, "prefill_tp": 8.0}
# Files, what is stated beside them, and the reason of a refusal that is right; empty: it is read.
FILES = {
    "P59": [("vllm_025.json", {**ONE, "model": "qwen3-0.6b"}, "")],
    "P61": [("vllm_failed.json", ONE, "no request was completed")],
    "P62": [("vllm_405b.json", {"hardware": "h100", "tp": 8.0}, "do not fit"),
            ("vllm_405b.json", {"hardware": "h100", "tp": 8.0, "precision": "fp8"}, "")],
    "P63": [("sgl9585.jsonl", {"model": "deepseek-r1", "hardware": "h20", **TWO_POOLS}, "")],
    "P65": [("ix_agg_kimi_mtp.json", {}, "")],
    "P66": [("ix_agg_kimi_mtp.json", {"hardware": "h100"}, "measured on mi355x")],
    "P68": [("ix_srt_gptoss_disagg_16gpu.json",
             {"hardware": "b200", "engine": "trtllm", **TWO_POOLS}, "")],
    "P69": [("aiperf13_c8.json", ONE, "")],
    "P70": [("genai_perf.csv", {**ONE, "model": "qwen3-8b"}, "")],
    "P71": [("guidellm_sample.json", ONE, "")],
    "P73": [("infperf_l27b_codegen_stage0.json", {**ONE, "model": "llama-2-7b"}, "")],
    "P74": [("gpustack_console.txt", {**ONE, "model": "qwen3-8b"}, ""),
            ("console_vllm.txt", {**ONE, "model": "qwen3-8b"}, "")],
    "P75": [("trtllm_bench.json", {"hardware": "h100"}, "")],
}  # fmt: skip


def numbers(text: str) -> list[float]:
    """The numbers of a text that are no part of a word, in their order."""
    result = re.findall(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?![A-Za-z]*\d)", text)
    return [float(number.replace(",", "").rstrip(",")) for number in result]


def judge_numbers(case: dict, computed: list[Callable]) -> dict:
    """Each prediction against the number at its place."""
    right = numbers(str(RIGHT.get(case["case"], case["right"])))
    result = [float(compute()) for compute in computed]
    errors = [got / want - 1.0 for got, want in zip(result, right, strict=False)]
    if "more than" in case["right"]:
        errors = [min(error, 0.0) for error in errors]
    worst = max(errors, key=abs)
    good = sum(abs(error) <= NEAR for error in errors)
    verdict = "right" if good == len(errors) else f"off in {len(errors) - good} of {len(errors)}"
    return {"verdict": verdict, "errors": [round(error, 3) for error in errors], "worst": worst}


def judge_refusal(compute: Callable, refused: bool) -> dict:
    """Whether what was tried is refused, as it must be or not."""
    try:
        compute()
    except InputError as error:
        return {"verdict": "right" if refused else "refused", "said": str(error)[:160]}
    return {"verdict": "accepted" if refused else "right"}


def judge_files(folder: Path, files: list) -> dict:
    """Whether files are read and predicted, or refused for the reason that holds."""
    said = []
    for name, stated, reason in files:
        try:
            result = validate(read_rows(folder / "case_inputs" / name, Stated(**stated)))
            outcome = "" if result.predicted else "nothing predicted"
        except InputError as error:
            outcome = str(error).replace(f"{folder / 'case_inputs'}/", "")
        if bool(reason) != bool(outcome) or reason not in outcome:
            return {"verdict": "off", "said": outcome[:160] or "read"}
        said.append(outcome[:160] or "read and predicted")
    return {"verdict": "right", "said": "; ".join(said)}


def run(folder: Path, only: set[str]) -> list[dict]:
    """A record for every case of the collection."""
    computed, refusals = numbers_of(folder), refusals_of(folder)
    result = []
    with (folder / "cases.csv").open(encoding="utf-8") as file:
        cases = list(csv.DictReader(file))
    for case in cases:
        name = case["case"]
        if only and name not in only:
            continue
        record = {"case": name, "kind": case["kind"]}
        try:
            if name in computed:
                record |= judge_numbers(case, computed[name])
            elif name in refusals:
                record |= judge_refusal(*refusals[name])
            elif name in FILES:
                record |= judge_files(folder, FILES[name])
            else:
                why = "a question without a measured answer" if case["kind"] == "question" else ""
                record |= {"verdict": "not judged", "said": OPEN.get(name, why)}
        except InputError as error:
            record |= {"verdict": "refused", "said": str(error)[:160]}
        if record["verdict"] not in ("right", "not judged"):
            known = {"found": "open", "cause": "not looked for", "shows": ""}
            record |= CAUSES.get(name, known)
        result.append(record)
        print(json.dumps(record), flush=True)
    return result


def table(records: list[dict]) -> str:
    """The records as Markdown, after a count by kind."""
    lines = [
        "# Public cases",
        "",
        "Right: every number within 20 %. By `benchmarks.accuracy.cases`.",
        "",
    ]
    lines += ["| kind | right | of those judged | all |", "|---|---:|---:|---:|"]
    for kind in dict.fromkeys(record["kind"] for record in records):
        own = Counter(record["verdict"] for record in records if record["kind"] == kind)
        judged = sum(own.values()) - own["not judged"]
        lines.append(f"| {kind} | {own['right']} | {judged} | {sum(own.values())} |")
    off = Counter(record["found"] for record in records if "found" in record)
    good = sum(r["verdict"] == "right" for r in records if r["kind"] == "prediction")
    lines += [
        "",
        f"Predictions: {good} within 20 %; of {off['shown']} more the cause is named and a number"
        f" shows it; of {off['open']} it is open (`causes.toml`).",
        "",
        "| case | kind | verdict | errors | cause or reason | found | what shows it |",
        "|---|---|---|---|---|---|---|",
    ]
    for record in records:
        errors = ", ".join(f"{100 * error:+.0f} %" for error in record.get("errors", []))
        why = record.get("cause") or record.get("said", "")
        more = (record.get("found", ""), record.get("shows", ""))
        cells = (record["case"], record["kind"], record["verdict"], errors, why, *more)
        lines.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run every case and write what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    parser.add_argument("--only", default="", metavar="CASES")
    args = parser.parse_args()
    records = run(args.folder, {name for name in args.only.split(",") if name})
    if args.json:
        args.json.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    if args.markdown:
        args.markdown.write_text(table(records), encoding="utf-8")


if __name__ == "__main__":
    main()
