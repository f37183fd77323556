"""Does a terminal show what is done, how fast and how long still, and a pipe nothing?"""

import io
import json
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsim._progress import Counted, heard_by, tell
from jaxsim.space.grid.best import stream_best
from jaxsim.view.cli import progress
from jaxsim.view.cli.progress import COMPILED, LOWERED, Shown, note, working


class Clock:
    """A clock that is moved by hand."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Screen(io.TextIOWrapper):
    """A terminal, or a pipe, of so many columns; sets `seen` once `awaited` was written."""

    def __init__(self, terminal=True, awaited="\n"):
        self.held = io.BytesIO()
        super().__init__(self.held, encoding="utf-8", newline="")
        self.terminal, self.awaited, self.seen = terminal, awaited, threading.Event()

    def isatty(self):
        return self.terminal

    def write(self, text):
        length = super().write(text)
        if self.awaited in text:
            self.seen.set()
        return length

    def text(self):
        self.flush()
        return self.held.getvalue().decode()


@pytest.fixture
def shown():
    own = Shown(Clock())
    own.tell("starting")
    return own


def test_what_is_counted_has_a_rate_and_the_time_left(shown):
    shown.tell("searching decode")
    shown.clock.now += 30.0  # it compiles: no part of the rate
    shown.tell(Counted("", 1e6, 9e6, "designs"))
    assert shown.line(99) == "searching decode: 1.00 M of 9.00 M designs (30.0 s)"
    shown.clock.now += 2.0
    shown.tell(Counted("", 5e6, 9e6, "designs"))
    counted = "searching decode: 5.00 M of 9.00 M designs, 2.00 M designs/s, 2 s left"
    assert shown.line(99) == f"{counted} (32.0 s)"
    shown.clock.now += 1.0  # the time left runs on between two counts
    assert "1 s left" in shown.line(99)


def test_a_stage_that_counts_by_itself_begins_anew(shown):
    shown.clock.now += 5.0
    shown.tell(Counted("serving", 0, 40, "runs"))
    shown.clock.now += 240.0
    shown.tell(Counted("serving", 4, 40, "runs"))
    assert shown.line(99) == (
        "serving: 4 of 40 runs, 1 runs/min, 36 min left (240.0 s; 245 s in all)"
    )
    shown.tell(Counted("fitting", 7, None, "evaluations"))
    shown.clock.now += 1.0
    shown.tell(Counted("fitting", 9, None, "evaluations"))
    assert shown.line(61) == "fitting: 9 evaluations, 2 evaluations/s (1.0 s; 246 s in all)"


def test_what_compiles_again_and_again_still_has_a_rate(shown):
    for done in range(3):
        shown.tell(Counted("fitting", done, 9, "kinds"))
        shown.event(LOWERED, 0.1)
        shown.clock.now += 5.0
        shown.event(COMPILED, 5.0)
        shown.clock.now += 5.0
    assert shown.line(99) == ("fitting: 2 of 9 kinds, 8 kinds/min, 42 s left (30.0 s)")


def test_what_cannot_count_says_that_it_compiles(shown):
    shown.event(LOWERED, 0.1)
    assert shown.line(99) == "starting, compiling (0.0 s)"
    shown.event(COMPILED, 1.0)
    assert shown.line(99) == "starting (0.0 s)"


def test_a_line_fits_the_terminal(shown):
    shown.tell("searching 1,600 workloads of decode on 2 CPU cores")
    shown.tell(Counted("", 3.0, 9.0, "designs"))
    for columns in (10, 30, 40, 60, 80):
        assert len(shown.line(columns)) <= columns
    assert shown.line(40) == "searching 1,600…: 3 of 9 designs (0.0 s)"


def test_the_package_is_heard_on_a_terminal_only(monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE_S", 0.0)
    monkeypatch.setattr(progress, "FRAME_S", 0.001)
    screen = Screen(awaited="7 of 9 rows")
    monkeypatch.setattr("sys.stderr", screen)
    with working("reading"):
        tell(Counted("sorting", 7, 9, "rows"))
        assert screen.seen.wait(30.0)
        note("a line that stays")
    text = screen.text()
    assert "\r\033[Ka line that stays\n" in text
    assert text.endswith("\r\033[K"), "the line is cleared"
    pipe = Screen(terminal=False)
    monkeypatch.setattr("sys.stderr", pipe)
    with working("reading"):
        tell("sorting")
    assert pipe.text() == ""


def test_jax_tells_when_it_compiles(monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE_S", 0.0)
    monkeypatch.setattr(progress, "FRAME_S", 0.001)
    screen = Screen(awaited="tracing")
    monkeypatch.setattr("sys.stderr", screen)
    heard = []
    monkeypatch.setattr(Shown, "event", lambda self, name, *_, **__: heard.append(name))
    with working("tracing"):
        assert screen.seen.wait(30.0)
        jax.jit(lambda x: x * 3.0 + 7.5)(jnp.float32(1.0))
    own = [name for name in heard if name in (LOWERED, COMPILED)]
    assert own[-2:] == [LOWERED, COMPILED]
    count = len(heard)
    jax.jit(lambda x: x * 5.0 + 7.5)(jnp.float32(1.0))
    assert len(heard) == count, "nothing is heard after the end"


def test_a_search_tells_its_designs():
    told = []
    axes = [("a", lambda p: p["a"], np.arange(64.0)), ("b", lambda p: p["b"], np.arange(512.0))]
    with heard_by(told.append):
        stream_best(
            lambda p: {"y": p["a"] * p["b"]}, {"a": 0.0, "b": 0.0}, axes, ["a"], objective="y",
            block_points=4096, step_points=512,
        )  # fmt: skip
    done = [one.done for one in told]
    assert done == sorted(done)
    assert (done[-1], told[-1].total, told[-1].unit) == (64 * 512, 64 * 512, "designs")
    assert json.loads(json.dumps(told[-1])) == "32,768 of 32,768 designs"
