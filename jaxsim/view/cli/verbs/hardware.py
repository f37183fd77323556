"""`jaxsim hardware`: which accelerators the catalogue has, and where their numbers come from."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from jaxsim.catalog.errors import InputError
from jaxsim.view.cli import options
from jaxsim.view.cli.help_text import Help

if TYPE_CHECKING:
    from jaxsim.catalog.cards import HardwareCard

EPILOG = """\
examples:
  jaxsim hardware                  all systems
  jaxsim hardware gb200-nvl72      every number of one, with its source
  jaxsim hardware my-chip.toml     what is read from a file of your own
  jaxsim hardware new my-chip.toml --like h200
                                   a commented file of a dozen numbers, to be changed
"""


def add_parser(subparsers: options.Verbs) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "hardware",
        help="the accelerators of the catalogue",
        description="The accelerators of the catalogue, or every number of one with its source.",
        epilog=EPILOG,
        formatter_class=Help,
        allow_abbrev=False,
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="one system (default: all), or new")
    parser.add_argument("file", nargs="?", metavar="FILE", help="after new: the file to write")
    parser.add_argument("--like", metavar="NAME", help="after new: whose numbers it begins with")
    options.add_format(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the table, or one card."""
    from jaxsim.view.cli.progress import working

    with working("starting"):
        from jaxsim.catalog.load import load_hardware
        from jaxsim.catalog.names import list_hardware
        from jaxsim.view.text import catalogue, units

    if args.name == "new":
        return _new(args)
    if args.file is not None or args.like is not None:
        raise InputError("a second name and --like belong to `jaxsim hardware new FILE.toml`.")
    if args.name is not None:
        card = load_hardware(args.name)
        catalogue.show_card(_described(card), card.provenance, args.format)
        return 0
    rows = [_described(load_hardware(name)) for name in list_hardware()]

    def rate(unit: str) -> Callable[[float | None], str]:
        return lambda value: units.prefixed(value, unit)

    columns: catalogue.Columns = {
        "name": ("hardware", str),
        "domain_gpus": ("domain", units.count),
        "fp4_flop_per_s": ("FP4", rate("")),
        "fp8_flop_per_s": ("FP8", rate("")),
        "bf16_flop_per_s": ("BF16", rate("")),
        "hbm_bytes": ("HBM", rate("B")),
        "hbm_bytes_per_s": ("HBM rate", rate("B")),
        "scaleup_bytes_per_s": ("scale-up", rate("B")),
        "scaleout_bytes_per_s": ("scale-out", rate("B")),
        "price_usd_per_hour": ("$/h", units.plain),
        "power_w": ("power", rate("W")),
    }
    note = (
        "Of one accelerator: dense FLOP/s by operand, memory and its bandwidth, bandwidth per "
        "direction inside the scale-up domain and beyond it (bytes/s), $ per hour, watts all in."
    )
    drop = ("power_w", "scaleout_bytes_per_s", "fp8_flop_per_s", "price_usd_per_hour")
    catalogue.show_table("hardware", rows, columns, args.format, note=note, drop=drop)
    return 0


def _new(args: argparse.Namespace) -> int:
    """Write a file to be filled in; nothing that exists is overwritten."""
    from pathlib import Path

    from jaxsim.catalog.load import load_hardware
    from jaxsim.catalog.write_hardware import hardware_text
    from jaxsim.view.files.atomic import output_file, replace_text

    if args.file is None:
        raise InputError("give the file to write: `jaxsim hardware new my-chip.toml`.")
    path = output_file(Path(args.file), (".toml",))
    if path.exists():
        raise InputError(f"{path}: exists already; give another name, or remove it.")
    replace_text(path, hardware_text(load_hardware(args.like or "h200")))
    said = (
        f"Wrote {path}. It works as it stands (`jaxsim plan MODEL --hardware {path} …`): change "
        "its numbers to those of the data sheet."
    )
    if args.format == "json":
        from jaxsim.view.text.plain_json import dumps

        print(dumps({"file": str(path)}))
    else:
        print(said)
    return 0


def _described(card: "HardwareCard") -> dict[str, object]:
    """An accelerator system in a line; a rate it has no units for is None."""
    chip, system = card.hardware.chip, card.hardware
    peaks = {
        f"{kind}_flop_per_s": float(getattr(chip.peak, f"{kind}_flop_per_s"))
        if kind in card.arithmetic
        else None
        for kind in ("fp4", "fp8", "bf16")
    }
    return {
        "name": card.name,
        "full_name": card.full_name,
        "vendor": card.vendor,
        "aliases": card.aliases,
        "domain_gpus": float(system.domain_gpus),
        "gpus_per_node": card.gpus_per_node,
        **peaks,
        "hbm_bytes": float(chip.hbm_bytes),
        "hbm_bytes_per_s": float(chip.hbm_bytes_per_s),
        "scaleup_bytes_per_s": float(system.scaleup.bytes_per_s),
        "scaleout_bytes_per_s": float(system.scaleout.bytes_per_s),
        "price_usd_per_hour": float(system.price_usd_per_hour),
        "power_w": float(system.power_w),
        "calibration": card.calibration,
        "note": card.note,
    }
