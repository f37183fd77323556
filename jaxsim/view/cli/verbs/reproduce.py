"""`jaxsim reproduce`: the study of disaggregation, claim by claim, as one page."""

import argparse
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from jaxsim._progress import heard_by
from jaxsim.view.cli import options, parse
from jaxsim.view.cli.help_text import Help
from jaxsim.view.text.layout import Page, page_for, wrap

if TYPE_CHECKING:
    from jaxsim.view.study.claims import Result
    from jaxsim.view.study.report import StudyResult

DESCRIPTION = """\
Check every claim of "Beyond the Buzz: A Pragmatic Take on Inference Disaggregation" (arXiv
2506.05508): what was found, the figure behind it, a verdict, and how often it holds over what the
study leaves open. Nothing is fitted to a claim."""

EPILOG = """\
examples:
  jaxsim reproduce -o study/          every claim, figures, the map: study/index.html
  jaxsim reproduce C8                 one claim
  jaxsim reproduce C1 C2 --mixtures 8 fewer readings of the study

DIR gets index.html, claims.json, figures/*.svg and map.nc
"""

MARKS = {"reproduced": "reproduced", "partly": "partly", "not": "not"}


def add_parser(subparsers: options.Verbs) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "reproduce",
        help="the study of disaggregation, claim by claim",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=Help,
        allow_abbrev=False,
    )
    parser.add_argument("claims", nargs="*", metavar="CLAIM", help="C1 to C23 (default: all)")
    parser.add_argument("-o", "--output", metavar="DIR", help="write page, figures and JSON there")
    parser.add_argument(
        "--mixtures",
        metavar="N",
        help="random mixtures of what the study leaves open (default: as in study.toml)",
    )
    parser.add_argument(
        "--grid",
        default="full",
        choices=("full", "coarse", "reduced"),
        help="how finely batches and chunks are tried in the base reading (default: full)",
    )
    parser.add_argument("--no-map", action="store_true", help="leave out the map of the gain")
    options.add_format(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check the claims, show them, write the page."""
    from jaxsim.view.cli.progress import working
    from jaxsim.view.files.atomic import output_folder

    folder = None if args.output is None else output_folder(Path(args.output))
    mixtures = None
    if args.mixtures is not None:
        mixtures = parse.parse_whole(args.mixtures, "--mixtures", at_least=0)
    with working("starting"), _lines():
        from jaxsim.view.study.report import run_study

        # The map belongs to the whole study, and to its page.
        with_map = not args.no_map and not args.claims and folder is not None
        study = run_study(
            args.claims,
            grid=args.grid,
            mixtures=mixtures,
            with_map=with_map,
        )
    written = [] if folder is None else write(study, folder, args)
    show(study, args, written)
    return 0


@contextmanager
def _lines() -> Generator[None, None, None]:
    """Where there is no terminal, progress as one line for every tenth thing that is told."""
    if sys.stderr.isatty():
        yield
        return
    count = iter(range(10**9))

    def line(text: str) -> None:
        if next(count) % 10 == 0:
            print(f"jaxsim reproduce: {text}", file=sys.stderr, flush=True)

    with heard_by(line):
        yield


def show(study: "StudyResult", args: argparse.Namespace, written: list[Path]) -> None:
    """Print what was found."""
    if args.format == "json":
        print(dumps(study))
        return
    page = page_for(sys.stdout)
    lines = [line for result in study.results for line in _claim_lines(result, page)]
    lines.append(f"{study.designs:,} designs in {study.elapsed_s:.0f} s")
    if written:
        names = ", ".join(path.name for path in written)
        lines += wrap(f"Wrote {names} in {written[0].parent}", page)
    print(page.finish(lines))


def _claim_lines(result: "Result", page: Page) -> list[str]:
    """A claim, its verdict, its parts, and in how many readings it holds."""
    finding, robust = result.finding, result.robustness
    head = f"{result.id:4} {MARKS[finding.verdict]:10} {result.text.claim}"
    told = [finding.value]
    parts = [f"{'yes' if part.holds else 'no ':3}  {part.text}" for part in finding.parts]
    rest = [f"expected: {result.text.expected}"]
    if (limit := result.at_limit) is not None:
        rest.append(f"at the limit of the chip: {MARKS[limit.verdict]}; {limit.value}")
    readings = f"{robust.readings} readings of the study ({robust.label})"
    rest.append(f"holds in {100 * robust.holds:.0f} % of {readings}")
    rest += [f"why: {finding.why}"] if finding.why else []
    rest += [f"would have to be true: {finding.needed}"] if finding.needed else []
    return [
        *wrap(head, page, 0, 16),
        *(line for text in told for line in wrap(text, page, 5, 2)),
        *(line for text in parts for line in wrap(text, page, 7, 5)),
        *(line for text in rest for line in wrap(text, page, 5, 2)),
    ]


def dumps(study: "StudyResult") -> str:
    """The study as one JSON object."""
    import json

    from jaxsim.view.study.report import claims_json

    entire = {
        "schema": "jaxsim.study/1",
        "claims": claims_json(study),
        "designs": study.designs,
        "elapsed_s": study.elapsed_s,
        "mixtures": study.mixtures,
    }
    return json.dumps(entire, ensure_ascii=False, indent=1, default=_plain)


def _plain(value: object) -> object:
    """NumPy numbers and arrays as JSON has them."""
    import numpy as np

    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def write(study: "StudyResult", folder: Path, args: argparse.Namespace) -> list[Path]:
    """The page, the claims, the figures and the map; each whole or not there."""
    import json

    from jaxsim.view.files.atomic import replace_bytes, replace_netcdf, replace_text
    from jaxsim.view.study.page import render_page
    from jaxsim.view.study.report import FIGURES, claims_json

    (folder / FIGURES).mkdir(exist_ok=True)
    for name, svg in study.pictures.items():
        replace_bytes(folder / FIGURES / f"{name}.svg", svg)
    command = " ".join(["jaxsim reproduce", *args.claims, "-o DIR"])
    page, claims = folder / "index.html", folder / "claims.json"
    replace_text(page, render_page(study, command))
    text = json.dumps(claims_json(study), ensure_ascii=False, indent=1, default=_plain)
    replace_text(claims, text + "\n")
    written = [page, claims]
    if study.map is not None:
        dataset = study.map.dataset
        replace_netcdf(folder / "map.nc", dataset)
        written.append(folder / "map.nc")
    return written
