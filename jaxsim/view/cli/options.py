"""Which options do several verbs share?"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from jaxsim.catalog.bounds import WORKLOAD, problem
from jaxsim.catalog.errors import InputError
from jaxsim.view.cli import parse

if TYPE_CHECKING:
    from jaxsim.catalog._datum import Datum
    from jaxsim.catalog.cards import HardwareCard, ModelCard
    from jaxsim.catalog.workload import Share, Workload

# Bare numbers as large as these are more likely milliseconds than seconds.
BARE_FTL_BELOW_S = 100.0
BARE_TTL_BELOW_S = 1.0


@runtime_checkable
class Verbs(Protocol):
    """What verbs are added to: `ArgumentParser.add_subparsers` returns one."""

    def add_parser(
        self,
        name: str,
        *,
        help: str,
        description: str,
        epilog: str | None = None,
        formatter_class: type[argparse.HelpFormatter] = argparse.HelpFormatter,
        allow_abbrev: bool = True,
    ) -> argparse.ArgumentParser: ...


@runtime_checkable
class Options(Protocol):
    """What options are added to: a parser, or a group of one."""

    def add_argument(
        self, *names: str, choices: Sequence[str], default: str, help: str
    ) -> argparse.Action: ...


def add_format(parser: Options) -> None:
    """`--format`."""
    parser.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="text for people (default), json for scripts: one object on standard output",
    )


AXES = {
    "tp": "tensor-parallel widths of attention",
    "ep": "expert-parallel widths",
    "pp": "pipeline stages",
    "batch": "requests of a decode or co-located instance at once",
    "prefill-batch": "prompts of a prefill instance at once",
    "chunk": "prompt tokens of a pass",
}


def add_axes(parser: argparse.ArgumentParser) -> None:
    """The axes of the design space."""
    axes = parser.add_argument_group("design space", "values to try, such as 1,2,4; default: all")
    for name, meaning in AXES.items():
        axes.add_argument(f"--{name}", metavar="LIST", help=meaning)


def axes_given(args: argparse.Namespace) -> dict[str, str]:
    """What was given for the axes, by the names of their options."""
    given = {name: getattr(args, name.replace("-", "_")) for name in AXES}
    return {name: text for name, text in given.items() if text is not None}


def axes_from(args: argparse.Namespace) -> dict[str, tuple[float, ...]]:
    """The values of the axes that were given, by the names that `Space` has for them."""
    return {
        name.replace("-", "_"): parse.parse_axis(text, f"--{name}")
        for name, text in axes_given(args).items()
    }


def said_of_axes(args: argparse.Namespace) -> list[str]:
    """Which axes were restricted, in a sentence if any were."""
    held = [f"{name} {text}" for name, text in axes_given(args).items()]
    return [f"Only these values were tried: {'; '.join(held)}."] if held else []


def targets(text: str | None, flag: str, bare_s: float) -> list[float]:
    """Seconds of a list of durations, tightest first; no limit where there is none."""
    if text is None:
        return [float("inf")]
    return sorted(set(parse.parse_durations(text, flag, bare_s)))


CACHE_HELP = "KV cache: bf16 or fp8; default: as --precision says (engines: bf16 unless told)"


def add_case(parser: argparse.ArgumentParser, many: bool = False) -> None:
    """Model, hardware (`many`, where a verb compares them) and how they are used."""
    parser.add_argument(
        "model", metavar="MODEL", help="a name of `jaxsim models`, or a Hugging Face config.json"
    )
    parser.add_argument(
        "--hardware",
        required=True,
        metavar="HW,…" if many else "HW",
        help="a name of `jaxsim hardware`, or a TOML file" + "; several are compared" * many,
    )
    parser.add_argument(
        "--ignore-keys",
        metavar="KEY,…",
        help="keys of a config.json to leave out, which would otherwise be refused",
    )
    group = parser.add_argument_group("software and number formats")
    group.add_argument(
        "--precision",
        metavar="NAME",
        help="number formats; default: the checkpoint's, where the hardware has their arithmetic",
    )
    group.add_argument("--kv", metavar="FORMAT", help=CACHE_HELP)
    group.add_argument(
        "--engine",
        metavar="NAME",
        help="serving software: ideal, trtllm, vllm or sglang (default: the one measured), or "
        "limit, kernels at the limit of the chip",
    )


def add_context(parser: argparse.ArgumentParser) -> None:
    """The context that a model is served with, where it is not its own."""
    parser.add_argument(
        "--max-context",
        metavar="N",
        help="tokens of prompt and output together that the model is served with (rope scaling); "
        "default: those of its configuration",
    )


def model_from(args: argparse.Namespace) -> "ModelCard":
    """The model, with the context that was given."""
    from dataclasses import replace

    from jaxsim.catalog.load import load_model

    card = args.model if not isinstance(args.model, str) else load_model(args.model)
    if args.max_context is None:
        return card
    tokens = parse.parse_whole(args.max_context, "--max-context")
    return replace(card, max_context_tokens=float(tokens))


def add_workload(parser: argparse.ArgumentParser, mix: bool = False, many: bool = False) -> None:
    """Lengths of requests (`many` of them, or a mix), and what shortens their work."""
    group = parser.add_argument_group("workload")
    metavar, lengths = ("N,…", ": one, a list, or LOW..HIGH:COUNT") if many else ("N", "")
    for flag, what in (("--isl", "input"), ("--osl", "output")):
        text = f"{what} tokens of a request{lengths}"
        group.add_argument(flag, required=not mix, metavar=metavar, help=text)
    if mix:
        group.add_argument(
            "--mix",
            metavar="FILE",
            help="several workloads served at once, instead of --isl and --osl: a CSV table with "
            "columns isl,osl,share (of requests), or a JSON list of such objects",
        )
    group.add_argument(
        "--images",
        default="0",
        metavar="N",
        help="images of a prompt: their tokens are added to ISL, the encoder runs in prefill",
    )
    group.add_argument(
        "--hit-frac", default="0", metavar="X", help="part of a prompt in a prefix cache, e.g. 30%%"
    )
    group.add_argument(
        "--draft-tokens", default="0", metavar="N", help="tokens drafted a step (speculation)"
    )
    group.add_argument(
        "--accept-frac",
        metavar="A",
        help="probability that a draft is accepted (one draft: as published of the model)",
    )
    group.add_argument(
        "--imbalance",
        default="1",
        metavar="X",
        help="load of the busiest expert rank over the mean (default: 1)",
    )


def prepare(args: argparse.Namespace) -> None:
    """Read what is not meant as it stands: a cache in its own format, a model without some keys."""
    if getattr(args, "kv", None) is not None:
        args.precision, args.kv = f"{args.precision or ''},kv={args.kv}", None
    if getattr(args, "draft_tokens", "0") != "0" and args.accept_frac is None:
        from jaxsim.view.cli.drafts import published

        args.accept_frac = published(args)
    keys, images = getattr(args, "ignore_keys", None), getattr(args, "images", None)
    many = parse.parse_whole(images, "--images", at_least=0) if images is not None else 0
    if getattr(args, "model", None) is None or not (keys or many):
        return
    from jaxsim.catalog.cards import with_images
    from jaxsim.catalog.load import load_model

    args.model = load_model(args.model, keys.split(",") if keys else ())
    if many:
        if getattr(args, "mix", None) is not None:
            raise InputError("--images counts for one workload: leave out --mix, or --images.")
        args.model = with_images(args.model, getattr(args, "encoder_pool", False))


def check_lengths(args: argparse.Namespace) -> None:
    """Refuse anything but one workload (--isl with --osl) or a mix."""
    given = [f"--{name}" for name in ("isl", "osl") if getattr(args, name) is not None]
    if args.mix is not None and given:
        raise InputError(
            f"--mix lists the lengths of requests: leave out {' and '.join(given)}, or --mix."
        )
    if args.mix is None and len(given) < 2:
        raise InputError(
            "the lengths of requests are missing: give both --isl N and --osl N, or --mix FILE "
            "for several workloads."
        )


def workload_from(args: argparse.Namespace) -> "Workload":
    """The workload that the options describe."""
    others = _others(args)
    lengths = [float(parse.parse_whole(getattr(args, n), f"--{n}")) for n in ("isl", "osl")]
    if others["images"]:
        lengths[0] += others["images"] * float(args.model.encoder.tokens)
    from jaxsim.catalog.workload import Workload

    return Workload(*lengths, **others)


def workloads_from(args: argparse.Namespace) -> "Workload | tuple[Share, ...]":
    """The workload that the options describe, or the shares of those in a mix file."""
    check_lengths(args)
    if args.mix is None:
        return workload_from(args)
    others = _others(args)
    from jaxsim.view.files.mix_file import read_mix

    return read_mix(Path(args.mix), others)


def _others(args: argparse.Namespace) -> dict[str, float]:
    """The fields of a workload besides its lengths."""
    drafts = parse.parse_whole(args.draft_tokens, "--draft-tokens", at_least=0)
    if (drafts > 0) != (args.accept_frac is not None):
        raise InputError(
            "--draft-tokens and --accept-frac belong together: "
            "give both, for example --draft-tokens 1 --accept-frac 0.8."
        )
    numbers = {
        "hit_frac": parse.parse_frac(args.hit_frac, "--hit-frac"),
        "draft_tokens": float(drafts),
        "accept_frac": parse.parse_frac(args.accept_frac or "0", "--accept-frac"),
        "imbalance": parse.parse_positive(args.imbalance, "--imbalance"),
        "images": float(parse.parse_whole(args.images, "--images", at_least=0)),
    }
    for name, value in numbers.items():
        if said := problem(WORKLOAD[name], value):
            raise InputError(f"--{name.replace('_', '-')} {said}.")
    return numbers


def add_prices(parser: argparse.ArgumentParser) -> None:
    """Prices other than the catalogue's."""
    group = parser.add_argument_group("prices", "dollars of an hour of one GPU")
    group.add_argument(
        "--price", action="append", default=[], metavar="HW=USD", help="for instance gb200=3.2"
    )
    group.add_argument("--prices", metavar="FILE", help="TOML of prices with source and date")


def prices_from(args: argparse.Namespace) -> "dict[str, Datum]":
    """The prices that were given, those of the command line before those of a file."""
    from pathlib import Path

    from jaxsim.catalog.prices import given_prices, read_prices

    held = {} if args.prices is None else read_prices(Path(args.prices))
    return {**held, **given_prices(args.price)}


def at_prices(card: "HardwareCard", prices: "dict[str, Datum]") -> "HardwareCard":
    """The card at the price given for it."""
    from jaxsim.catalog.prices import at_prices as changed

    return changed(card, prices)
