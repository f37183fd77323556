"""A plan on a terminal."""

import dataclasses
import os
from io import StringIO
from pathlib import Path

import pytest

from jaxsim.view.text.ascii_plot import KEEP, Line, plot, ticks
from jaxsim.view.text.layout import Page, bar, page_for
from jaxsim.view.text.plan import render_plan
from jaxsim.view.text.tables import table, with_bars

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", ["plan", "half_met_plan", "unmet_plan"])
def test_the_page_is_as_it_was(name, request):
    """Run with JAXSIM_GOLDEN=write to rewrite the pages, and review them as a diff."""
    text = render_plan(request.getfixturevalue(name), Page(80)) + "\n"
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("JAXSIM_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["plan", "half_met_plan", "unmet_plan"])
@pytest.mark.parametrize("width", [60, 80, 110])
def test_lines_fit_the_page(name, width, request):
    text = render_plan(request.getfixturevalue(name), Page(width))
    assert max(len(line) for line in text.splitlines()) <= width


def test_the_recommendation_comes_first(plan):
    first = render_plan(plan, Page(110)).splitlines()[0]
    assert first == (
        "Deploy disaggregated: 6 prefill instances TP1 EP8 PP2 + 1 decode instance TP1 EP16 PP1"
    )


def test_the_verdict_is_that_of_the_winner(plan):
    worse = dataclasses.replace(plan.disaggregated, output_tokens_per_s_per_gpu=493.5)
    loses = dataclasses.replace(plan, disaggregated=worse, probability=0.02)
    text = render_plan(loses, Page(110))
    assert "Co-located gives 2.00× the throughput per GPU of disaggregated" in text
    assert "it wins with probability 0.98" in text
    assert text.startswith("Deploy co-located: 1 co-located instance TP1 EP16 PP1 (piggybacking)")


@pytest.mark.parametrize("width", [60, 110])
def test_both_kinds_are_shown_as_fully(plan, width):
    """Instances, GPUs, widths, batch, chunk and mode of the one that is not recommended too."""
    text = render_plan(plan, Page(width))
    head = text.split("Output tokens/s/GPU")[0]
    rest = " ".join(head.split("compared with co-located:")[1].split())
    assert rest.startswith(
        "co-located 1 × 16 GPUs TP1 EP16 PP1 batch 512, chunk 4,096 tokens "
        "16 GPUs in all, piggybacking"
    )
    worse = dataclasses.replace(plan.disaggregated, output_tokens_per_s_per_gpu=493.5)
    loses = render_plan(dataclasses.replace(plan, disaggregated=worse), Page(width))
    rest = " ".join(loses.split("compared with disaggregated:")[1].split())
    assert rest.startswith("prefill 6 × 16 GPUs TP1 EP8 PP2 batch 8, chunk 8,192 tokens decode 1")


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"max_gpus": 1064}, "at most 1,064 GPUs"),
        ({"max_gpus": 1064, "exact_gpus": 1064}, "exactly 1,064 GPUs"),
    ],
)
def test_a_budget_is_at_most_or_exactly(plan, limits, said):
    text = render_plan(dataclasses.replace(plan, **limits), Page(110))
    assert f"TTL (TPOT) ≤ 50 ms, {said}" in text
    assert f"Frontier at FTL ≤ 5 s, {said}" in text
    other = {"at most": "exactly", "exactly": "at most"}[said.rsplit(" ", 2)[0]]
    assert f"{other} 1,064" not in text


def test_a_budget_says_what_it_holds_and_what_is_left(plan):
    """240 GPUs hold two units of 112, and 15 co-located instances of 16."""
    disaggregated, colocated = plan.disaggregated, plan.colocated
    first, second = (dataclasses.replace(s, count=2 * s.count) for s in disaggregated.instances)
    disaggregated = dataclasses.replace(
        disaggregated, gpus=224, copies=2, instances=(first, second)
    )
    only = dataclasses.replace(colocated.instances[0], count=15)
    colocated = dataclasses.replace(colocated, gpus=240, copies=15, instances=(only,))
    capped = dataclasses.replace(
        plan, max_gpus=240, disaggregated=disaggregated, colocated=colocated
    )
    text = render_plan(capped, Page(110))
    assert (
        "Of 240 GPUs: 2 units of 6 prefill + 1 decode instances (112 GPUs each), "
        "16 GPUs left over." in text
    )
    assert "Of 240 GPUs: 15 units of 1 co-located instance (16 GPUs each), none left over." in text
    paid = render_plan(dataclasses.replace(capped, exact_gpus=240), Page(110))
    assert "16 GPUs left over, idle and paid." in paid
    assert "left over" not in render_plan(plan, Page(110))


def test_ascii_has_only_ascii_and_plain_has_no_colour(plan):
    assert render_plan(plan, Page(80, unicode=False)).isascii()
    assert "\033" not in render_plan(plan, Page(80))
    assert "\033[1" in render_plan(plan, Page(80, colour=True))


def test_colour_needs_a_terminal_and_leave(monkeypatch):
    class Terminal(StringIO):
        encoding = "utf-8"

        def isatty(self):
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert page_for(Terminal()).colour
    assert not page_for(StringIO()).colour
    monkeypatch.setenv("NO_COLOR", "1")
    assert not page_for(Terminal()).colour


def test_bars_grow_by_eighths():
    assert [len(bar(f, 4)) for f in (0.0, 0.25, 0.29, 1.0, 2.0)] == [0, 1, 2, 4, 4]


def test_tables_align():
    rows = [["name", "in all"], ["a", "1"], ["two words", "10"]]
    assert table(rows, Page(40)) == [
        "  name       in all",
        "  a               1",
        "  two words      10",
    ]


def test_a_table_that_is_too_wide_is_folded_and_then_cut():
    rows = [["name", "in all", "more"], ["a", "1", "2"], ["two words", "10", "20"]]
    folded = ["name   in more", "      all", "a       1    2", "two    10   20", "words"]
    assert table(rows, Page(14), by=0) == folded
    assert table(rows, Page(14), by=0, drop=(2,)) == folded
    assert table(rows, Page(10), by=0, drop=(2, 1))[-2:] == ["(no room", "for: more)"]


def test_bars_take_the_room_that_is_left():
    rows = [["a", "1 %"], ["bb", "9 %"]]
    assert with_bars(rows, [0.5, 1.0], Page(20), by=0) == [
        "a   1 %  █████▌",
        "bb  9 %  ███████████",
    ]
    assert with_bars(rows, [0.5, 1.0], Page(11), by=0) == ["a   1 %", "bb  9 %"]


def test_ticks_are_round_and_reach_the_top():
    assert ticks(168.0, 4) == [0.0, 50.0, 100.0, 150.0]
    assert ticks(0.9, 3) == pytest.approx([0.0, 0.5])


def test_a_plot_is_a_staircase_that_falls():
    line = Line("one", "o", [(10.0, 3.0), (20.0, 2.0), (30.0, 1.0)])
    assert [line.at(x) for x in (0.0, 10.0, 11.0, 30.0, 31.0)] == [3.0, 3.0, 2.0, 1.0, None]
    rows = plot([line], 60, 9, "x", "y", target=15.0)
    marked = [row.index("o") for row in rows if "o" in row[5:-1] and "one" not in row]
    assert marked == sorted(marked)
    assert f"┊{KEEP}target" in rows[-1]


def test_nothing_to_plot():
    assert plot([], 60, 9, "x", "y") == []
