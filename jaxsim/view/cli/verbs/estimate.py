"""`jaxsim estimate`: one design, every part of its time and memory, and the rules it breaks.

With a load, what its users see: latencies with their queues.
"""

import argparse
import sys
from typing import TYPE_CHECKING

from jaxsim.catalog.errors import InputError
from jaxsim.view.cli import options, parse
from jaxsim.view.cli.help_text import Help

if TYPE_CHECKING:
    from jaxsim.catalog.workload import Workload
    from jaxsim.point.explain import Explanation

DESCRIPTION = """\
Explain one design: the seconds, flop and bytes of every kernel and message, what bounds it, the
memory of the fullest GPU, and which rules the design breaks. With --concurrency or --rate: the
latencies and the rate that users see under that load, queues included."""

EPILOG = """\
examples:
  jaxsim estimate deepseek-r1 --hardware gb200-nvl72 --isl 16384 --osl 2048 \\
      --phase decode --tp 1 --ep 32 --batch 1024
  jaxsim estimate llama-3.1-70b --hardware h200 --isl 4096 --osl 512 \\
      --phase prefill --tp 4 --chunk 2048 --format json
  jaxsim estimate llama-3.1-70b --hardware h200 --isl 4096 --osl 512 \\
      --phase colocated --tp 4 --concurrency 64
  jaxsim estimate llama-3.1-70b --hardware h200 --isl 4096 --osl 512 \\
      --phase disaggregated --tp 4 --prefill-tp 2 --prefill-instances 3 --rate 4
"""

PHASES = ("prefill", "decode", "colocated", "disaggregated")
LOADED = ("colocated", "disaggregated")
LIMITS = ("prompts", "osl_cv", "max_seqs", "max_batched_tokens", "memory_fraction")
# Statuses of the command, as in `main`.
OK, BROKEN_RULE = 0, 3
PREFILL_POOL = ("tp", "ep", "pp", "instances")


def add_parser(subparsers: options.Verbs) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "estimate",
        help="one design: every part of its time and memory",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=Help,
        allow_abbrev=False,
    )
    options.add_case(parser)
    parser.add_argument(
        "--phase",
        required=True,
        choices=PHASES,
        metavar="PHASE",
        help="prefill, decode or colocated; or disaggregated: two pools, under a load",
    )
    design = parser.add_argument_group("design")
    design.add_argument("--tp", default="1", metavar="N", help="tensor-parallel width of attention")
    design.add_argument("--ep", default="1", metavar="N", help="expert-parallel width")
    design.add_argument("--pp", default="1", metavar="N", help="pipeline stages")
    design.add_argument(
        "--batch", metavar="N", help="requests of the instance at once (default: 1)"
    )
    design.add_argument("--chunk", metavar="N", help="prompt tokens of a pass (default: all)")
    load = parser.add_argument_group("load (phases colocated and disaggregated)")
    load.add_argument("--concurrency", metavar="N", help="requests in the system at all times")
    load.add_argument("--rate", metavar="R", help="requests that arrive in a second, at random")
    load.add_argument("--instances", metavar="N", help="instances of the design (default: 1)")
    for name, what in (
        ("tp", "tensor-parallel width"), ("ep", "expert-parallel width"),
        ("pp", "pipeline stages"), ("instances", "instances"),
    ):  # fmt: skip
        load.add_argument(
            f"--prefill-{name}", metavar="N", help=f"{what} of the prefill pool (default: 1)"
        )
    load.add_argument(
        "--prompts",
        metavar="N",
        help="requests of a whole run, sent at once, --concurrency of them in flight",
    )
    load.add_argument(
        "--osl-cv",
        metavar="X",
        help="spread of output lengths in a run of --prompts: deviation over mean, about 1 for "
        "conversations (default: 0, all alike)",
    )
    limits = parser.add_argument_group("limits of the engine (under a load)")
    limits.add_argument("--max-seqs", metavar="N", help="sequences of a data-parallel rank")
    limits.add_argument(
        "--max-batched-tokens", metavar="N", help="prompt tokens of a pass: --chunk"
    )
    limits.add_argument(
        "--memory-fraction", metavar="X", help="part of the memory that the engine takes, e.g. 0.9"
    )
    options.add_context(parser)
    options.add_workload(parser)
    output = parser.add_argument_group("output")
    output.add_argument(
        "--aic-request",
        metavar="FILE",
        help="also write the design as a request for NVIDIA's AIConfigurator (JSON)",
    )
    options.add_format(output)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Explain the design; a broken rule is shown, and is the status of the command."""
    check_load(args)
    if args.concurrency is not None or args.rate is not None:
        return _run_load(args)
    args.batch = args.batch or "1"
    from jaxsim.view.cli.cache import start_jax
    from jaxsim.view.cli.progress import working

    design = {
        name: float(parse.parse_whole(getattr(args, name), f"--{name}"))
        for name in ("tp", "ep", "pp", "batch", "chunk")
        if getattr(args, name) is not None
    }
    start_jax()
    workload = options.workload_from(args)
    if args.aic_request is not None:
        write_request(args, design, workload)
    with working("evaluating"):
        import jaxsim

        explanation = jaxsim.estimate(
            options.model_from(args),
            args.hardware,
            workload,
            phase=args.phase,
            tp=design["tp"],
            ep=design["ep"],
            pp=design["pp"],
            batch=design["batch"],
            chunk=design.get("chunk"),
            precision=args.precision,
            engine=args.engine,
        )
    if broken := [name for name, holds in explanation.rules.items() if not holds]:
        print(f"jaxsim: the design breaks a rule: {', '.join(broken)}.", file=sys.stderr)
    if args.format == "json":
        from jaxsim.view.text.plain_json import dumps

        error = {"error": f"breaks a rule: {', '.join(broken)}."} if broken else {}
        print(dumps(explanation_dict(explanation) | error))
    else:
        from jaxsim.view.text.estimate import render_explanation
        from jaxsim.view.text.layout import page_for

        title = f"{args.model} on {args.hardware}"
        print(render_explanation(explanation, title, design, page_for(sys.stdout)))
    return OK if explanation.feasible else BROKEN_RULE


def write_request(args: argparse.Namespace, design: dict[str, float], workload: "Workload") -> None:
    """The design as AIConfigurator takes it, in a file."""
    import json
    from pathlib import Path

    from jaxsim.catalog.setup import setup_of
    from jaxsim.view.deploy.aiconfigurator import design_request
    from jaxsim.view.files.atomic import output_file, replace_text

    path = output_file(Path(args.aic_request), [".json"])
    setup = setup_of(options.model_from(args), args.hardware, args.precision, args.engine)
    widths = (int(design[name]) for name in ("tp", "ep", "pp", "batch"))
    request = design_request(setup, args.phase, workload, *widths)
    replace_text(path, json.dumps(request, indent=2) + "\n")


def check_load(args: argparse.Namespace) -> None:
    """Refuse a load without the phases that bear it, and its options without a load."""
    loads = [f"--{name}" for name in ("concurrency", "rate") if getattr(args, name) is not None]
    pool = [n for n in PREFILL_POOL if getattr(args, f"prefill_{n}") is not None]
    if len(loads) == 2:
        raise InputError("--concurrency and --rate are two kinds of load: give one of them.")
    if loads and args.phase not in LOADED:
        raise InputError(
            f"{loads[0]} needs both phases of serving: --phase {' or --phase '.join(LOADED)}."
        )
    if not loads and args.phase == "disaggregated":
        raise InputError("--phase disaggregated needs a load: --concurrency N or --rate R.")
    if not loads and args.instances is not None:
        raise InputError("--instances counts under a load: give --concurrency N or --rate R too.")
    if pool and args.phase != "disaggregated":
        raise InputError(f"--prefill-{pool[0]} belongs to --phase disaggregated.")
    for name in LIMITS:
        if not loads and getattr(args, name) is not None:
            raise InputError(f"{_flag(name)} counts under a load: give --concurrency N too.")
    if loads and args.aic_request is not None:
        raise InputError("--aic-request is of one design: leave out --concurrency and --rate.")
    if args.prompts is not None and args.concurrency is None:
        raise InputError("--prompts N needs --concurrency N: how many are in flight at once.")
    if args.osl_cv is not None and args.prompts is None:
        raise InputError("--osl-cv counts in a run of --prompts N, whose longest answers end it.")
    if args.chunk is not None and args.max_batched_tokens is not None:
        raise InputError("--chunk and --max-batched-tokens are the same limit: give one of them.")
    if loads and args.batch is not None:
        raise InputError(
            f"--batch follows from {loads[0]}: how many requests decode at once is a result here."
        )


def _run_load(args: argparse.Namespace) -> int:
    from jaxsim.view.cli.cache import start_jax
    from jaxsim.view.cli.progress import working

    def whole(name: str) -> float:
        return float(parse.parse_whole(getattr(args, name) or "1", _flag(name)))

    passes = "chunk" if args.max_batched_tokens is None else "max_batched_tokens"
    chunk = None if getattr(args, passes) is None else whole(passes)
    prompts = None if args.prompts is None else whole("prompts")
    spread = 0.0 if args.osl_cv is None else parse.parse_positive(args.osl_cv, "--osl-cv")
    most = None if args.max_seqs is None else whole("max_seqs")
    memory = args.memory_fraction and parse.parse_frac(args.memory_fraction, "--memory-fraction")
    prefill = None
    if args.phase == "disaggregated":
        prefill = {name: whole(f"prefill_{name}") for name in PREFILL_POOL}
    if args.rate is None:
        concurrency, rate = whole("concurrency"), None
        said = f"{concurrency:,.0f} requests at all times"
        if prompts is not None:
            said = f"{prompts:,.0f} prompts at once, {concurrency:,.0f} in flight"
    else:
        concurrency, rate = None, parse.parse_positive(args.rate, "--rate")
        said = f"{rate:g} requests/s"
    start_jax()
    workload = options.workload_from(args)
    with working("evaluating"):
        import jaxsim
        from jaxsim.catalog.engine_limits import Limits

        result = jaxsim.serve(
            options.model_from(args),
            args.hardware,
            workload,
            concurrency=concurrency,
            requests_per_s=rate,
            tp=whole("tp"),
            ep=whole("ep"),
            pp=whole("pp"),
            instances=whole("instances"),
            prompts=prompts,
            osl_cv=spread,
            limits=Limits(most, memory or None),
            prefill=prefill,
            chunk=chunk,
            precision=args.precision,
            engine=args.engine,
        )
    if args.format == "json":
        from jaxsim.view.text.plain_json import dumps
        from jaxsim.view.text.serving import under_load_dict

        print(dumps(under_load_dict(result)))
    else:
        from jaxsim.view.text.layout import page_for
        from jaxsim.view.text.serving import render_under_load

        title = f"{args.model} on {args.hardware}"
        print(render_under_load(result, title, said, page_for(sys.stdout)))
    return 0


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def explanation_dict(explanation: "Explanation") -> dict[str, object]:
    """An explanation as JSON has it."""
    parts = [
        {
            "name": part.name,
            "part": part.part,
            "seconds": part.seconds,
            "flop": part.flop,
            "bytes": part.bytes,
            "bound": part.bound,
        }
        for part in explanation.parts
    ]
    return {
        "phase": explanation.phase,
        "total_s": explanation.total_s,
        "interval_s": explanation.interval_s,
        "parts": parts,
        "memory": dict(explanation.memory),
        "feasible": explanation.feasible,
        "flags": dict(explanation.rules),
        "outputs": dict(explanation.outputs),
        "formats": dict(explanation.formats),
        "notes": list(explanation.notes),
    }
