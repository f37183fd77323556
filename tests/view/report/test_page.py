"""The files that a plan leaves behind."""

import csv
import json
import re
from urllib.parse import unquote

import pytest
import xarray as xr

from jaxsim.view.figures.breakdown import draw_breakdown
from jaxsim.view.figures.frontier import draw_frontier
from jaxsim.view.figures.style import image
from jaxsim.view.files.plan import write_plan
from jaxsim.view.report.page import render_report

NAMES = {"plan.json", "frontier.nc", "frontier.png", "breakdown.png", "report.html"}


def test_every_file_is_written_and_readable(plan, tmp_path):
    written = write_plan(plan, tmp_path, (), "jaxsim plan …")
    assert {path.name for path in written} == {p.name for p in tmp_path.iterdir()} == NAMES
    assert json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))["gain"]
    with xr.open_dataset(tmp_path / "frontier.nc", engine="h5netcdf") as frontiers:
        assert frontiers.sizes == {"curve": 3, "point": 24}
        assert frontiers.ttl_s.attrs["units"] == "s"
    for name in ("frontier.png", "breakdown.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_a_failing_file_keeps_those_before_and_leaves_nothing_half_written(
    plan, tmp_path, monkeypatch
):
    from jaxsim.view.files import plan as plan_files

    def full(plan):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(plan_files, "draw_frontier", full)
    with pytest.raises(OSError, match="No space"):
        write_plan(plan, tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"plan.json", "frontier.nc"}


@pytest.mark.parametrize("name", ["plan", "half_met_plan", "unmet_plan"])
def test_the_report_needs_no_network_and_is_well_formed(name, request):
    page = render_report(request.getfixturevalue(name), (), "jaxsim plan <x> & co", 5e10)
    assert "http" not in page.replace("http-equiv", "")
    assert not re.search(r"<(script|link|iframe)", page)
    assert all(source.startswith("data:") for source in re.findall(r'src="([^"]+)', page))
    assert "jaxsim plan &lt;x&gt; &amp; co" in page
    for tag in ("table", "tr", "td", "div", "section", "p", "span", "figure", "details"):
        assert len(re.findall(f"<{tag}[ >]", page)) == page.count(f"</{tag}>"), tag


def test_the_report_says_what_the_plan_says(plan):
    page = render_report(plan, (), "")
    for text in (
        "6 prefill instances TP1 EP8 PP2",
        "1,234",
        "1.25×",
        "probability 0.93",
        "next pair of designs",
        "scaled from B200",
    ):
        assert text in page, text
    assert "of its link" not in page
    linked = render_report(plan, (), "", 5e10)
    for share in ("0.8 %", "3.9 %"):  # egress, and ingress, of 50 GB/s
        assert f"{share} of its link" in linked


def test_pictures_are_as_dark_as_the_page(plan):
    """No ink, line or ground of their own; white is text on a colour; no id stands twice."""
    page = render_report(plan, (), "")
    pictures = re.findall(r"<svg.*?</svg>", page, re.S)
    assert len(pictures) == 2
    for picture in pictures:
        assert not re.search("#222222|#444444|#5f6b76|#8a949e|#e6e9ec", picture)
        assert not re.search(r"<(?!g)\w+[^>]*fill: #ffffff", picture)
        assert picture.count("var(--ink)") > 3
        assert "var(--page)" in picture
        named = re.findall(r' id="([^"]+)"', picture)
        assert len(named) == len(set(named))
        assert set(re.findall(r'(?:href="|url\()#([^")]+)', picture)) <= set(named)
    assert "background:var(--free)" in page


def test_pictures_without_a_script_have_tables_and_files(plan):
    page = render_report(plan, (), "")
    files = re.findall(r'download="(\w+)\.csv" href="data:text/csv;charset=utf-8,([^"]+)"', page)
    held = {name: list(csv.reader(unquote(text).splitlines())) for name, text in files}
    shapes = [*plan.disaggregated.instances, *plan.colocated.instances]
    head, *parts = held["time"]
    assert head[1] == "prefill, TP1 EP8 PP2: ms"
    for column, shape in enumerate(shapes, 1):
        seconds = {row[0]: float(row[column]) / 1e3 for row in parts}
        assert seconds == pytest.approx({n: shape.parts_s.get(n, 0.0) for n in seconds}, rel=1e-3)
    assert {row[0] for row in held["memory"]} >= {"weights", "KV cache", "free"}
    assert [float(row[1]) for row in held["levers"][1:]] == pytest.approx(
        sorted((x.elasticity for x in plan.levers), key=lambda e: -abs(e)), rel=1e-3
    )


def test_unmet_targets_are_in_the_report(unmet_plan):
    page = render_report(unmet_plan, (), "")
    assert "No design meets both targets" in page
    assert "TTL 6.10 ms" in page


def test_pictures_are_the_same_each_time(plan):
    for figure in (draw_frontier, draw_breakdown):
        assert image(figure(plan), "svg") == image(figure(plan), "svg")
