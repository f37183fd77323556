"""How does `jaxsim plan --mix FILE` run?  As `plan` with one workload, from file to answer."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jaxsim
from jaxsim.catalog.cards import HardwareCard, with_domain
from jaxsim.catalog.setup import setup_of
from jaxsim.space.deploy.mix import plan_mix
from jaxsim.space.deploy.mix_result import MixPlan, Share
from jaxsim.space.deploy.request import Question
from jaxsim.view.cli import options
from jaxsim.view.cli.cache import use_persistent_cache
from jaxsim.view.cli.progress import working
from jaxsim.view.files.atomic import output_folder, replace_text
from jaxsim.view.files.mix_file import read_mix
from jaxsim.view.files.mix_json import mix_dict
from jaxsim.view.text.layout import page_for
from jaxsim.view.text.mix import render_mix, unmet_message
from jaxsim.view.text.plain_json import dumps


def run_mix(args: argparse.Namespace, asked: dict[str, Any], notes: list[str]) -> int:
    """Plan, show, write plan.json; status 3 where no design meets the targets."""
    from jaxsim.view.cli.main import OK, UNMET, complain

    mix = read_mix(Path(args.mix))
    use_persistent_cache()
    folder = None if args.output is None else output_folder(Path(args.output))
    plan = replace(solve(args, asked, mix), notes=tuple(notes))
    text = dumps(mix_dict(plan))
    if folder is not None:
        replace_text(folder / "plan.json", text + "\n")
    if args.format == "json":
        print(text)
    else:
        page = page_for(sys.stdout)
        print(render_mix(plan, page))
        if folder is not None:
            print(page.finish(["", f"Wrote plan.json in {folder}"]))
    if plan.recommended is not None:
        return OK
    complain(unmet_message(plan), as_json=False)
    return UNMET


def solve(args: argparse.Namespace, asked: dict[str, Any], mix: tuple[Share, ...]) -> MixPlan:
    """The plan, with a spinner while it is found."""
    with working("starting") as tell:

        def load(name: str) -> HardwareCard:
            card = jaxsim.load_hardware(name)
            return card if asked["domain"] is None else with_domain(card, asked["domain"])

        setup = setup_of(args.model, load(args.hardware), args.precision, args.engine)
        prefill = None
        if args.prefill_hardware is not None:
            prefill = setup_of(
                setup.model, load(args.prefill_hardware), args.precision, args.engine
            )
        lengths = {"isl": str(mix[0].isl), "osl": str(mix[0].osl)}
        question = Question(
            workload=options.workload_from(argparse.Namespace(**{**vars(args), **lengths})),
            max_gpus=asked["gpus"],
            **{
                name: asked[name]
                for name in (
                    "ftl_s", "ttl_s", "exact_gpus", "fixed_ratio", "pack", "objective",
                    "ttl_metric", "tolerance",
                )
            },
        )  # fmt: skip
        axes = asked["axes"]
        space = jaxsim.Space(**axes) if axes else None
        return plan_mix(setup, question, mix, space, prefill, tell)
