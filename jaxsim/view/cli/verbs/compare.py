"""`jaxsim compare`: a plan beside what NVIDIA's AIConfigurator found."""

import argparse
import sys
from pathlib import Path

from jaxsim.view.cli import options
from jaxsim.view.cli.help_text import Help

DESCRIPTION = """\
Put a plan beside the designs that NVIDIA's AIConfigurator found for the same model, hardware,
lengths and targets: the best of each kind by both tools, and what jaxsim predicts for
AIConfigurator's best."""

EPILOG = """\
examples:
  aiconfigurator cli default --model-path Qwen/Qwen3-32B-FP8 --system h200_sxm --total-gpus 16 \\
      --isl 4000 --osl 500 --ttft 1000 --tpot 30 --save-dir found
  jaxsim plan qwen3-32b --hardware h200 --precision fp8 --gpus 16 --engine trtllm \\
      --isl 4000 --osl 500 --ftl 1s --ttl 30ms -o plan
  jaxsim compare plan/plan.json found

The other way, `jaxsim deploy` writes measure/aic-request.json of a plan, and
`jaxsim estimate … --aic-request FILE` that of any design.
"""


def add_parser(subparsers: options.Verbs) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "compare",
        help="a plan beside AIConfigurator's designs",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=Help,
        allow_abbrev=False,
    )
    parser.add_argument("plan", metavar="PLAN", help="plan.json, as `jaxsim plan -o DIR` writes it")
    parser.add_argument(
        "files", metavar="FOUND", nargs="+", help="pareto.csv, or the folder that has them"
    )
    options.add_format(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read both, predict, show."""
    from jaxsim.view.cli.cache import start_jax
    from jaxsim.view.cli.progress import working

    start_jax()
    with working("reading"):
        from jaxsim.truth.read.aiconfigurator import read_designs
        from jaxsim.view.deploy.compare import compare, compare_dict

        rows = [row for name in args.files for row in read_designs(Path(name))]
        result = compare_dict(compare(Path(args.plan), rows))
    if args.format == "json":
        from jaxsim.view.text.plain_json import dumps

        print(dumps(result))
    else:
        from jaxsim.view.text.compare import render_compare
        from jaxsim.view.text.layout import page_for

        print(render_compare(result, page_for(sys.stdout)))
    return 0
