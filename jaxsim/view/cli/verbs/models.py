"""`jaxsim models`: which models the catalogue has, and where each of their numbers comes from."""

import argparse
from typing import TYPE_CHECKING, Any

from jaxsim.view.cli import options

if TYPE_CHECKING:
    from jaxsim.catalog.cards import ModelCard

EPILOG = """\
examples:
  jaxsim models                        all models
  jaxsim models deepseek-r1            every number of one, with its source
  jaxsim models path/to/config.json    what is read from a Hugging Face configuration
"""


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "models",
        help="the models of the catalogue",
        description="The models of the catalogue, or every number of one of them with its source.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="one model (default: all)")
    options.add_format(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the table, or one card."""
    from jaxsim.catalog.load import load_model
    from jaxsim.catalog.names import list_models, unsupported_models
    from jaxsim.view.text import catalogue, units

    if args.name is not None:
        card = load_model(args.name)
        described = _described(card)
        summary = (
            f"{units.parameters(described['parameters'])} parameters, "
            f"{units.parameters(described['active_parameters'])} active a token; "
            f"{units.prefixed(described['kv_bytes_per_token'], 'B')} of KV cache a token in the "
            "checkpoint's formats"
        )
        catalogue.show_card(described, card.provenance, args.format, summary)
        return 0
    rows = [_described(load_model(name)) for name in list_models()]
    refused = [{"name": name, "reason": why} for name, why in unsupported_models().items()]
    columns = {
        "name": ("model", str),
        "attention": ("attention", str),
        "layers": ("layers", units.count),
        "parameters": ("parameters", units.parameters),
        "active_parameters": ("active", units.parameters),
        "experts": ("experts", units.count),
        "kv_bytes_per_token": ("KV/token", lambda size: units.prefixed(size, "B")),
        "max_context_tokens": ("context", units.count),
    }
    note = "`jaxsim models NAME` has the source of every number, or says why a model is refused."
    catalogue.show_table("models", rows, columns, args.format, {"unsupported": refused}, note)
    return 0


def _described(card: "ModelCard") -> dict[str, Any]:
    """A model in a line."""
    from jaxsim.catalog.model import MoEFFN
    from jaxsim.catalog.parameters import parameters
    from jaxsim.catalog.precision import element_bytes
    from jaxsim.point.memory import kv_bytes_per_gpu

    counts, element = parameters(card.model), element_bytes(card.precision)
    kinds = {type(group.attention).__name__ for group in card.model.groups}
    routed = [group.ffn for group in card.model.groups if isinstance(group.ffn, MoEFFN)]
    cache = sum(
        float(group.layers) * float(kv_bytes_per_gpu(group.attention, 1.0, 1.0, element))
        for group in card.model.groups
    )
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
        "kv_bytes_per_token": cache,
        "max_context_tokens": card.max_context_tokens,
        "precision": dict(vars(card.precision)),
        "note": card.note,
    }
