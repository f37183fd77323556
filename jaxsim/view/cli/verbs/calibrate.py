"""`jaxsim calibrate`: kernel constants of a chip, fitted to measured tables."""

import argparse
import sys

DESCRIPTION = """\
Fit the kernel constants of a chip to measured kernel times, and write a calibration file with
where every constant comes from, how far off it is on shapes held out, and its covariance."""

EPILOG = """\
sources:
  none            the tables of the package aiconfigurator-core, if it is installed
                  (pip install 'jaxsim-inference[calibrate]' aiconfigurator-core==0.12.0)
  a folder        its systems/data, or a copy of it
  a CSV file      columns op, shape, dtype, gpu, metric, value, unit, url, kind, notes; what it does
                  not measure is taken over from the chip's present calibration

examples:
  jaxsim calibrate --chip h200 -o h200-new.toml
  jaxsim calibrate measured.csv --chip b200 -o b200-ours.toml

A fit that does not converge, or has too few rows, is refused. To use the file, name it as
`calibration` in a hardware TOML.
"""


def add_parser(subparsers) -> None:
    """The options of `jaxsim calibrate`."""
    parser = subparsers.add_parser(
        "calibrate",
        help="kernel constants of a chip from measured tables",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", nargs="?", metavar="SOURCE", help="measured tables: see below")
    parser.add_argument("--chip", required=True, metavar="HW", help="a name of `jaxsim hardware`")
    parser.add_argument(
        "--engine", default="trtllm", metavar="NAME", help="whose kernels (default: trtllm)"
    )
    parser.add_argument("-o", "--output", required=True, metavar="FILE.toml", help="where to write")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Fit and write."""
    from jaxsim.truth.kernels.calibrate import calibrate

    path = calibrate(
        args.source,
        args.chip,
        args.output,
        engine=args.engine,
        report=lambda line: print(line, file=sys.stderr),
    )
    print(f"Wrote {path}.")
    return 0
