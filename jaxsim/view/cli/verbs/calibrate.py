"""`jaxsim calibrate`: kernel constants of a chip, fitted to measured tables."""

import argparse

from jaxsim.view.cli import options
from jaxsim.view.cli.help_text import Help

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


def add_parser(subparsers: options.Verbs) -> None:
    """The options of `jaxsim calibrate`."""
    parser = subparsers.add_parser(
        "calibrate",
        help="kernel constants of a chip from measured tables",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=Help,
    )
    parser.add_argument("source", nargs="?", metavar="SOURCE", help="measured tables: see below")
    parser.add_argument("--chip", metavar="HW", help="a name of `jaxsim hardware`")
    parser.add_argument(
        "--runs",
        nargs="+",
        metavar="RESULT",
        help="instead: result files of serving runs, to fit an engine of one's own",
    )
    parser.add_argument("--plan", metavar="PLAN", help="with --runs: plan.json that was measured")
    parser.add_argument(
        "--engine", default="trtllm", metavar="NAME", help="whose kernels (default: trtllm)"
    )
    parser.add_argument("-o", "--output", required=True, metavar="FILE.toml", help="where to write")
    parser.set_defaults(run=run)


def _own(args: argparse.Namespace) -> int:
    """An engine of one's own, from serving runs."""
    from pathlib import Path

    from jaxsim.catalog.errors import InputError
    from jaxsim.view.cli.config import write_toml
    from jaxsim.view.cli.progress import working
    from jaxsim.view.files.atomic import output_file

    path = output_file(Path(args.output), (".toml",))
    with working("reading"):
        from jaxsim.catalog.known_engines import load_engine
        from jaxsim.truth.engines.own import fit_own, own_toml
        from jaxsim.truth.read.clients.stated import Stated
        from jaxsim.truth.read.readers import read_rows
        from jaxsim.truth.runs import runs_of
        from jaxsim.view.deploy.measured import stated_of
        from jaxsim.view.deploy.plan_file import order_of

        stated = Stated(engine=args.engine, hardware=args.chip or "")
        if args.plan is not None:
            stated = stated_of(order_of(Path(args.plan)), args.engine)
        runs = runs_of([row for name in args.runs for row in read_rows(name, stated)])
    named = {(case.named.engine, case.named.hardware.name) for case in runs.cases}
    if len(named) > 1:
        held = "; ".join(f"{engine} on {chip}" for engine, chip in sorted(named))
        raise InputError(f"--runs: one engine on one chip is fitted at a time; these are {held}.")
    first = runs.cases[0].named
    card = load_engine(first.engine, first.hardware.name, first.model)
    with working(f"fitting {len(runs)} runs"):
        own = fit_own(runs, card)
    title = f"{card.title}, own"
    text = own_toml(own, card, title, [Path(name).name for name in args.runs])
    write_toml(path, text, args.made_by)
    for measure, after in own.after.items():
        print(f"{measure}: {own.before[measure]:.1%} before, {after:.1%} after (RMS of logs)")
    moved = sorted(own.numbers, key=lambda one: abs(one.value / one.before - 1.0), reverse=True)
    for one in moved[:3]:
        band = f"80 %: {one.low:.3g} to {one.high:.3g}"
        print(f"{one.name}: {one.before:.4g} before, {one.value:.4g} now ({band})")
    fitted = "1 run" if own.rows == 1 else f"{own.rows} runs"
    print(f"Wrote {path}: {fitted}. Use it with --engine {path}.")
    return 0


def run(args: argparse.Namespace) -> int:
    """Fit and write."""
    from jaxsim.catalog.errors import InputError

    if args.runs:
        return _own(args)
    if args.chip is None:
        raise InputError("--chip HW names the chip whose kernels are fitted; or give --runs.")
    from pathlib import Path

    from jaxsim.view.cli.config import write_toml
    from jaxsim.view.cli.progress import note, working
    from jaxsim.view.files.atomic import output_file

    path = output_file(Path(args.output), (".toml",))
    with working("reading measurements"):
        from jaxsim.catalog.calibration import read_calibration
        from jaxsim.truth.kernels.calibrate import fitted_text

        text = fitted_text(args.source, args.chip, engine=args.engine, report=note)
    write_toml(path, text, args.made_by, read_calibration)
    print(f"Wrote {path}.")
    return 0
