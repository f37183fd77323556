"""Which files does a plan leave behind?"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxsim._progress import Counted, tell
from jaxsim.api.dataset import frontier_dataset
from jaxsim.space.deploy.result import Plan
from jaxsim.view.figures.breakdown import draw_breakdown
from jaxsim.view.figures.frontier import draw_frontier
from jaxsim.view.figures.style import image
from jaxsim.view.files.atomic import replace_bytes, replace_netcdf, replace_text
from jaxsim.view.files.plan_json import plan_dict
from jaxsim.view.report.evidence import Evidence, evidence_of
from jaxsim.view.report.page import render_report
from jaxsim.view.text.plain_json import dumps

if TYPE_CHECKING:
    from jaxsim.catalog.setup import Setup


def write_plan(
    plan: Plan, folder: Path, setups: Sequence["Setup"] = (), command: str = ""
) -> list[Path]:
    """Write plan.json, frontier.nc, frontier.png, breakdown.png and report.html; their paths.

    Each file is whole or not there. The numbers come first: if a later file fails, they are safe.
    `setups` are what the plan was made with, for the sources in the report.
    """
    evidence: tuple[Evidence, ...] = evidence_of(setups) if setups else ()
    link = float(setups[0].hardware.hardware.scaleout.bytes_per_s) if setups else None
    writers: dict[str, Callable[[Path], None]] = {
        "plan.json": lambda path: replace_text(path, dumps(plan_dict(plan)) + "\n"),
        "frontier.nc": lambda path: replace_netcdf(path, frontier_dataset(plan)),
        "frontier.png": lambda path: replace_bytes(path, image(draw_frontier(plan), "png")),
        "report.html": lambda path: replace_text(
            path, render_report(plan, evidence, command, link)
        ),
    }
    if plan.recommended is not None:
        writers["breakdown.png"] = lambda path: replace_bytes(
            path, image(draw_breakdown(plan), "png")
        )
    written: list[Path] = []
    for name, write in writers.items():
        tell(Counted("drawing", len(written), len(writers), "files"))
        write(folder / name)
        written.append(folder / name)
    return written
