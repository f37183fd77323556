"""`jaxsim models`: which models the catalogue has, and where each of their numbers comes from."""

import argparse
from typing import TYPE_CHECKING, TypedDict

from jaxsim._progress import Counted, tell
from jaxsim.catalog.errors import InputError
from jaxsim.view.cli import options
from jaxsim.view.cli.help_text import Help

if TYPE_CHECKING:
    from jaxsim.catalog.cards import ModelCard

EPILOG = """\
examples:
  jaxsim models                        all models
  jaxsim models deepseek-r1            every number of one, with its source
  jaxsim models path/to/config.json    what is read from a Hugging Face configuration
  jaxsim models --search qwen --kind recurrent --max-size 150B --engine vllm
"""


def add_parser(subparsers: options.Verbs) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "models",
        help="the models of the catalogue",
        description="The models of the catalogue, or every number of one of them with its source.",
        epilog=EPILOG,
        formatter_class=Help,
        allow_abbrev=False,
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="one model (default: all)")
    chosen = parser.add_argument_group("only some", "all that are given must hold")
    chosen.add_argument("--search", metavar="TEXT", help="in the name, an alias or the hub's name")
    chosen.add_argument(
        "--kind",
        metavar="KIND,…",
        help="dense, moe, latent, recurrent, windowed, selected (sparse), multimodal, mtp",
    )
    chosen.add_argument("--min-size", metavar="N", help="parameters, such as 7B")
    chosen.add_argument("--max-size", metavar="N", help="parameters, such as 1.1T")
    chosen.add_argument(
        "--engine", metavar="NAME", help="with measured kernels for all its layers: sglang, …"
    )
    parser.add_argument("--ignore-keys", metavar="KEY,…", help="keys of a config.json to leave out")
    options.add_format(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the table, or one card."""
    from jaxsim.catalog.load import load_model
    from jaxsim.catalog.names import list_models, unsupported_models
    from jaxsim.view.cli.progress import working
    from jaxsim.view.text import catalogue, units

    if args.name is not None:
        _no_filters(args)
        card = load_model(args.name, args.ignore_keys.split(",") if args.ignore_keys else ())
        described = _described(card)
        summary = (
            f"{units.parameters(described['parameters'])} parameters, "
            f"{units.parameters(described['active_parameters'])} active a token; "
            f"{units.prefixed(described['kv_bytes_per_token'], 'B')} of KV cache a token and "
            f"{units.prefixed(described['state_bytes'], 'B')} whatever the length, in the "
            "checkpoint's formats"
        )
        catalogue.show_card(described, card.provenance, args.format, summary)
        return 0
    names = list_models()
    every: list[_Row] = []
    with working("reading"):
        for name in names:
            tell(Counted("reading", len(every), len(names), "models"))
            every.append(_described(load_model(name)))
    rows = [row for row in every if _holds(args, row)]
    refused = [{"name": name, "reason": why} for name, why in unsupported_models().items()]
    if not rows:
        raise InputError("no model of the catalogue is so; leave out a filter, or see them all.")
    columns: catalogue.Columns = {
        "name": ("model", str),
        "attention": ("attention", str),
        "layers": ("layers", units.count),
        "parameters": ("parameters", units.parameters),
        "active_parameters": ("active", units.parameters),
        "experts": ("experts", units.count),
        "kv_bytes_per_token": ("KV/token", lambda size: units.prefixed(size, "B")),
        "state_bytes": ("state", lambda size: units.prefixed(size, "B")),
        "max_context_tokens": ("context", units.count),
    }
    note = "`jaxsim models NAME` has the source of every number, or says why a model is refused."
    drop = ("state_bytes", "experts", "kv_bytes_per_token", "layers", "attention")
    more = {"unsupported": refused}
    catalogue.show_table("models", rows, columns, args.format, more, note, drop)
    return 0


_FILTERS = ("search", "kind", "min_size", "max_size", "engine")


def _no_filters(args: argparse.Namespace) -> None:
    given = [name for name in _FILTERS if getattr(args, name) is not None]
    if given:
        raise InputError(f"--{given[0].replace('_', '-')} chooses among all models: give no NAME.")


def _holds(args: argparse.Namespace, row: "_Row") -> bool:
    """Whether a model passes the filters of the command line."""
    from jaxsim.catalog.find import ENGINES, KINDS, size_of

    wanted = [word.strip().lower() for word in (args.kind or "").split(",") if word.strip()]
    for word in wanted:
        if word not in KINDS:
            raise InputError(f"--kind {word!r}: it is one of {', '.join(KINDS)}.")
    if args.engine is not None and args.engine not in ENGINES:
        raise InputError(f"--engine {args.engine!r}: it is one of {', '.join(ENGINES)}.")
    text = (args.search or "").lower()
    names = (row["name"], row["hf_id"], *row["aliases"])
    size = row["parameters"]
    return (
        any(text in name.lower() for name in names)
        and all(word in row["kinds"] for word in wanted)
        and (args.min_size is None or size >= size_of(args.min_size, "--min-size"))
        and (args.max_size is None or size <= size_of(args.max_size, "--max-size"))
        and (args.engine is None or args.engine in row["engines"])
    )


class _Row(TypedDict):
    """A model in a line."""

    name: str
    hf_id: str
    aliases: tuple[str, ...]
    attention: str
    layers: float
    parameters: float
    active_parameters: float
    experts: float | None
    topk: float | None
    kv_bytes_per_token: float
    state_bytes: float
    kinds: tuple[str, ...]
    engines: tuple[str, ...]
    max_context_tokens: float
    precision: dict[str, str]
    note: str


def _described(card: "ModelCard") -> _Row:
    """A model in a line."""
    from jaxsim.catalog.find import engines_of, kinds_of
    from jaxsim.catalog.model import MoEFFN
    from jaxsim.catalog.parameters import parameters
    from jaxsim.catalog.precision import element_bytes
    from jaxsim.point.layer_bytes import kv_bytes_per_gpu

    counts, element = parameters(card.model), element_bytes(card.precision)
    kinds = {type(group.attention).__name__ for group in card.model.groups}
    networks = [getattr(group.ffn, "moe", group.ffn) for group in card.model.groups]
    routed = [ffn for ffn in networks if isinstance(ffn, MoEFFN)]

    def kept(context: float) -> float:
        return sum(
            float(group.layers) * float(kv_bytes_per_gpu(group.attention, context, 1.0, element))
            for group in card.model.groups
        )

    # What a token adds once windows are full, and what a sequence has whatever its length.
    long = 2.0**20  # a power of two, for which single precision is exact
    each = (kept(2.0 * long) - kept(long)) / long
    fixed = max(kept(long) - long * each, 0.0)
    return {
        "name": card.name,
        "hf_id": card.hf_id,
        "aliases": card.aliases,
        "attention": " + ".join(sorted(kinds)),
        "layers": sum(float(group.layers) for group in card.model.groups),
        "parameters": float(counts.total),
        "active_parameters": float(counts.active),
        "experts": float(routed[0].experts) if routed else None,
        "topk": float(routed[0].topk) if routed else None,
        "kv_bytes_per_token": each,
        "state_bytes": fixed,
        "kinds": kinds_of(card),
        "engines": engines_of(card),
        "max_context_tokens": card.max_context_tokens,
        "precision": card.precision.formats,
        "note": card.note,
    }
