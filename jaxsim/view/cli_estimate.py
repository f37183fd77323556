"""`jaxsim estimate`: one design, every part of its time and memory, and the rules it breaks."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from jaxsim.view import durations, options

if TYPE_CHECKING:
    from jaxsim.point.explain import Explanation

DESCRIPTION = """\
Explain one design: the seconds, flop and bytes of every kernel and message, what bounds it, the
memory of the fullest GPU, and which rules the design breaks."""

EPILOG = """\
examples:
  jaxsim estimate deepseek-r1 --hardware gb200-nvl72 --isl 16384 --osl 2048 \\
      --phase decode --tp 1 --ep 32 --batch 1024
  jaxsim estimate llama-3.1-70b --hardware h200 --isl 4096 --osl 512 \\
      --phase prefill --tp 4 --chunk 2048 --format json
"""

PHASES = ("prefill", "decode", "colocated")


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "estimate",
        help="one design: every part of its time and memory",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    options.add_case(parser)
    parser.add_argument("--phase", required=True, choices=PHASES, help="what the instance does")
    design = parser.add_argument_group("design")
    design.add_argument("--tp", default="1", metavar="N", help="tensor-parallel width of attention")
    design.add_argument("--ep", default="1", metavar="N", help="expert-parallel width")
    design.add_argument("--pp", default="1", metavar="N", help="pipeline stages")
    design.add_argument(
        "--batch", default="1", metavar="N", help="requests of the instance at once"
    )
    design.add_argument("--chunk", metavar="N", help="prompt tokens of a pass (default: all)")
    options.add_workload(parser)
    options.add_format(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Explain the design; a broken rule is shown, not an error."""
    from jaxsim.view.jax_cache import use_persistent_cache
    from jaxsim.view.progress import working

    design: dict[str, Any] = {
        name: float(durations.parse_whole(getattr(args, name), f"--{name}"))
        for name in ("tp", "ep", "pp", "batch", "chunk")
        if getattr(args, name) is not None
    }
    use_persistent_cache()
    workload = options.workload_from(args)
    with working("evaluating"):
        import jaxsim

        explanation = jaxsim.estimate(
            args.model,
            args.hardware,
            workload,
            phase=args.phase,
            precision=args.precision,
            engine=args.engine,
            **design,
        )
    if args.format == "json":
        from jaxsim.view.plan_json import dumps

        print(dumps(explanation_dict(explanation)))
    else:
        from jaxsim.view.estimate_text import render_explanation
        from jaxsim.view.text import page_for

        title = f"{args.model} on {args.hardware}"
        print(render_explanation(explanation, title, design, page_for(sys.stdout)))
    return 0


def explanation_dict(explanation: "Explanation") -> dict[str, Any]:
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
        "feasible": all(explanation.rules.values()),
        "flags": dict(explanation.rules),
        "outputs": dict(explanation.outputs),
    }
