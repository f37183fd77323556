"""`jaxsim validate`: predictions against measured serving runs, error by group."""

import argparse
import sys
from typing import TYPE_CHECKING

from jaxsim._progress import tell
from jaxsim.view.cli import options, parse
from jaxsim.view.cli.help_text import Help

if TYPE_CHECKING:
    from jaxsim.truth.read.clients.stated import Stated
    from jaxsim.view.text.validation import ValidationSummary

DESCRIPTION = """\
Predict every measured run of a file and show how far off the predictions are: time to the first
token, time per output token, output tokens/s/GPU; by model, GPU, engine, mode and precision; the
gain of disaggregated over co-located runs where both were measured, and how well predictions choose
among measured designs; and why rows could not be predicted. Without a file: a few published runs
that ship with jaxsim."""

EPILOG = """\
files:
  a CSV table of serving points (silicon_ttft_ms, silicon_tpot_ms, tp_size, ...), of published
  runs (ttft_ms, tpot_ms, tok_s_gpu, ...) or of third parties' runs (ttft_mean_ms, regime, ...);
  or the result file of a client: vllm bench serve and SGLang's bench_serving (JSON, JSON lines, or
  the text "Serving Benchmark Result" that they print), AIPerf and GenAI-Perf (JSON, CSV), GuideLLM
  (JSON, CSV), inference-perf, llmperf, trtllm-bench, InferenceX (JSON, CSV), MLPerf's
  mlperf_log_summary.txt, AIPerf's records of requests (profile_export.jsonl); or a folder with one
  such file of each rank (NAME-rank0.json, ...), which are one run. What a result file does not
  say is stated with --model, --hardware, --engine, --precision, --tp, ...; two pools with
  --prefill-tp, --prefill-instances, ...
  Runs over time are simulated request by request: a table with rates of arrival and percentiles
  (row_id, arrival, rate_rps, ttft_p50_ms, ...), or a log of vLLM's requests (NAME.requests.jsonl
  with NAME.meta.json beside it), or a folder of logs.

examples:
  jaxsim validate
  jaxsim validate serving.csv -o accuracy
  jaxsim validate result.json --hardware h200 --tp 8 --precision fp8 --format json
"""

WHOLE = {
    "tp": ("N", "tensor-parallel width of attention"),
    "ep": ("N", "expert-parallel width"),
    "pp": ("N", "pipeline stages"),
    "instances": ("N", "instances (default: 1)"),
    "prefill_tp": ("N", "tensor-parallel width of a pool that only prefills"),
    "prefill_ep": ("N", "expert-parallel width of the prefill pool"),
    "prefill_pp": ("N", "pipeline stages of the prefill pool"),
    "prefill_instances": ("N", "instances of the prefill pool"),
    "concurrency": ("N", "requests in the system at all times"),
    "prompts": ("N", "requests of the whole run"),
    "draft_tokens": ("N", "tokens that speculative decoding proposes a step (default: 1)"),
}
MORE = {
    "rate": ("R", "requests that arrive in a second"),
    "isl": ("N", "mean input tokens"),
    "osl": ("N", "mean output tokens"),
}
FRACTIONS = {
    "hit_frac": ("F", "part of a prompt found in a prefix cache; of a table too"),
    "accept_frac": ("F", "chance that a proposed token is accepted; of a table too"),
}


def add_parser(subparsers: options.Verbs) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "validate",
        help="predictions against measured runs, error by group",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=Help,
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", nargs="?", help="measured runs, CSV or JSON")
    parser.add_argument(
        "--plan",
        metavar="PLAN",
        help="plan.json that was measured: says what the file leaves out, and what held of it",
    )
    stated = parser.add_argument_group("what a result file leaves out")
    stated.add_argument("--model", default="", metavar="MODEL", help="a name of `jaxsim models`")
    stated.add_argument("--hardware", default="", metavar="HW", help="a name of `jaxsim hardware`")
    stated.add_argument("--engine", default="", metavar="NAME", help="serving software")
    stated.add_argument("--precision", default="", metavar="NAME", help="fp8, fp4, bf16, ...")
    for name, (metavar, meaning) in {**WHOLE, **MORE, **FRACTIONS}.items():
        stated.add_argument("--" + name.replace("_", "-"), metavar=metavar, help=meaning)
    options.add_format(parser)
    parser.add_argument(
        "-o", "--output", metavar="DIR", help="write every row as CSV, the errors, and a picture"
    )
    parser.set_defaults(run=run)


def _stated(args: argparse.Namespace) -> "Stated":
    from jaxsim.truth.read.clients.stated import Stated

    readers = {
        **dict.fromkeys(WHOLE, parse.parse_whole),
        **dict.fromkeys(MORE, parse.parse_positive),
        **dict.fromkeys(FRACTIONS, parse.parse_frac),
    }
    numbers = {
        name: float(readers[name](value, "--" + name.replace("_", "-")))
        for name in readers
        if (value := getattr(args, name)) is not None
    }
    return Stated(args.model, args.hardware, args.engine, args.precision, **numbers)


def _held(args: argparse.Namespace) -> int:
    """What held of a plan in the runs of a file; status 1 where a target does not."""
    from dataclasses import fields, replace
    from pathlib import Path

    from jaxsim.catalog.errors import InputError
    from jaxsim.view.cli.progress import working

    if args.file is None:
        raise InputError("--plan: give the result file that measured it, too.")
    with working("reading"):
        from jaxsim.truth.read.readers import read_rows
        from jaxsim.view.deploy.measured import held, stated_of
        from jaxsim.view.deploy.plan_file import order_of
        from jaxsim.view.text.layout import page_for
        from jaxsim.view.text.measured import render_held
        from jaxsim.view.text.plain_json import dumps

        order, own = order_of(Path(args.plan)), _stated(args)
        given = {item.name: getattr(own, item.name) for item in fields(own)}
        said = {k: v for k, v in given.items() if v not in ("", None) and k != "engine"}
        rows = read_rows(args.file, replace(stated_of(order, args.engine), **said))
        result = held(order, rows, args.engine)
    print(dumps(result) if args.format == "json" else render_held(result, page_for(sys.stdout)))
    missed = [name for name in ("ttft", "tpot") if result["verdict"]["held"][name] is False]
    return 1 if missed else 0


def _arrivals(args: argparse.Namespace) -> int:
    """Runs whose requests arrive over time, simulated one by one: errors of percentiles."""
    from pathlib import Path

    from jaxsim.truth.arrivals.cache_transfers import GOAL as MOVES_GOAL
    from jaxsim.truth.arrivals.read import read_arrivals
    from jaxsim.truth.arrivals.scores import GOALS, summary_of
    from jaxsim.truth.arrivals.served import served_all
    from jaxsim.view.cli.output import deliver
    from jaxsim.view.cli.progress import working
    from jaxsim.view.files.atomic import output_folder, replace_text
    from jaxsim.view.text.arrivals import render_arrivals
    from jaxsim.view.text.plain_json import dumps

    folder = output_folder(Path(args.output)) if args.output else None
    with working("reading"):
        runs = served_all(read_arrivals(Path(args.file), _stated(args)))
    scores = summary_of(runs)
    told = {"file": Path(args.file).name, **scores.to_dict()}
    coverage = (scores.rows, len(scores.runs), scores.reasons)
    moves = ([(m.measured_s, m.predicted_s) for m in scores.moves], MOVES_GOAL)

    def write(folder: Path) -> list[Path]:
        replace_text(folder / "validation.json", dumps(told))
        return [folder / "validation.json"]

    deliver(
        args,
        lambda: told,
        lambda page: render_arrivals(
            scores.overall, scores.overload, scores.groups, GOALS, coverage, moves, page
        ),
        folder and (lambda: write(folder)),
    )
    return 0


def run(args: argparse.Namespace) -> int:
    """Validate a file; a row that cannot be predicted is counted, not an error."""
    from pathlib import Path

    from jaxsim.view.cli.cache import start_jax
    from jaxsim.view.cli.progress import working
    from jaxsim.view.files.atomic import output_folder

    start_jax()
    if args.plan is not None:
        return _held(args)
    if args.file is not None:
        from jaxsim.truth.arrivals.read import holds_arrivals

        if holds_arrivals(Path(args.file)):
            return _arrivals(args)
    folder = output_folder(Path(args.output)) if args.output else None
    with working("reading"):
        from jaxsim.truth.decisions import decisions
        from jaxsim.truth.gain_of_pairs import gain_summary
        from jaxsim.truth.read.readers import PUBLISHED, read_rows
        from jaxsim.truth.validate import summary, validate

        rows = read_rows(PUBLISHED if args.file is None else args.file, _stated(args))
        result = validate(rows)
        tell("comparing with what was measured")
        document: ValidationSummary = {
            "file": Path(PUBLISHED if args.file is None else args.file).name,
            **summary(result),
            "gain": gain_summary(result.predicted),
            "decisions": decisions(result.predicted),
        }
    from jaxsim.view.cli.output import deliver
    from jaxsim.view.text.validation import render_validation

    def write(folder: Path) -> list[Path]:
        from jaxsim.view.files.validation import write_validation

        return write_validation(folder, result, document)

    deliver(
        args,
        lambda: document,
        lambda page: render_validation(document, page),
        folder and (lambda: write(folder)),
    )
    return 0
