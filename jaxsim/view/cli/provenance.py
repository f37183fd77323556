"""How was a plan made?  Its options in words, and the command line that makes it again."""

import argparse
import shlex

from jaxsim.view.cli import options, parse

# What a namespace holds beside the options of a plan, or that the same plan does not depend on.
NO_OPTIONS = ("verb", "run", "made_by", "model", "format", "output")


def rules_of(args: argparse.Namespace) -> str:
    """Whose rules shapes must obey to be deployed on the target."""
    from jaxsim.view.deploy.registry import target_of

    target = target_of(args.deployable)
    return target.rules(args.engine if args.engine in target.engines else target.engines[0])


def said(args: argparse.Namespace) -> list[str]:
    """The options beyond model, hardware, lengths and targets, in words."""
    told = []
    if (hit := parse.parse_frac(args.hit_frac)) > 0.0:
        told.append(f"{100.0 * hit:g} % of each prompt is found in a prefix cache.")
    if (drafts := parse.parse_whole(args.draft_tokens, at_least=0)) > 0:
        accept = parse.parse_frac(args.accept_frac)
        told.append(
            f"Speculative decoding: {drafts} drafted a step, each accepted with probability "
            f"{accept:g} where those before it were."
        )
    if (imbalance := parse.parse_positive(args.imbalance)) > 1.0:
        told.append(f"The busiest expert rank has {imbalance:g} times the mean load.")
    if args.objective != "gpu":
        what = {"cost": "output tokens per dollar", "power": "output tokens per joule"}
        told.append(f"The most {what[args.objective]} is sought, not the most per GPU.")
    if prices := options.prices_from(args):
        held = ", ".join(f"{name} ${datum.value:g}" for name, datum in prices.items())
        told.append(f"An hour of one GPU is taken to cost: {held}.")
    if args.ttl_metric == "median":
        told.append("A co-located design meets the TTL target with its median gap, not its mean.")
    if args.fixed_ratio is not None:
        told.append(f"Prefill GPUs per decode GPU are held at {args.fixed_ratio}.")
    if args.deployable is not None:
        told.append(
            f"Only shapes that {args.deployable} can express were tried (rules: {rules_of(args)})."
        )
    if args.domain is not None:
        told.append(f"A scale-up domain is taken to have {args.domain} GPUs.")
    if args.gpus is not None and args.gpus.startswith("exactly:"):
        told.append("All GPUs of the budget are paid, idle ones too.")
    if args.pack:
        told.append("Stages do not straddle scale-up domains, and domains are paid whole.")
    return [*told, *options.said_of_axes(args)]


def command(args: argparse.Namespace) -> str:
    """The command line that makes the same plan."""
    words = ["jaxsim", "plan", str(args.model)]
    for name, value in vars(args).items():
        if name in NO_OPTIONS or value in (None, False):
            continue
        if name == "images" and value == "0":
            continue
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, list):
            words += [word for one in value for word in (option, str(one))]
            continue
        words += [option] if value is True else [option, str(value)]
    return shlex.join(words)
