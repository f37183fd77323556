"""The command line: what it prints where, and its exit status."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from jaxsim.catalog.errors import InputError
from jaxsim.view.cli import main as cli
from jaxsim.view.cli import options, provenance
from jaxsim.view.cli.verbs import plan as cli_plan

ROOT = Path(__file__).parents[3]
ASK = ["plan", "deepseek-r1", "--hardware", "gb200-nvl72", "--isl", "16384", "--osl", "2048"]
TARGETS = ["--ftl", "5s", "--ttl", "50ms"]


def python(*arguments, **environment):
    """A fresh interpreter that finds the package."""
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


@pytest.fixture
def solved(plan, monkeypatch):
    """`plan` without its search: the plan made by hand."""
    monkeypatch.setattr(cli_plan, "solve", lambda *_: plan)
    return plan


@pytest.fixture
def unsolved(unmet_plan, monkeypatch):
    monkeypatch.setattr(cli_plan, "solve", lambda *_: unmet_plan)
    return unmet_plan


def test_help_starts_neither_jax_nor_its_friends():
    """What makes help come at once: nothing heavy is imported (benchmarks measure the seconds)."""
    code = (
        "import sys\n"
        "import jaxsim.view.cli.main as cli\n"
        "assert cli.main(['--help']) == 0\n"
        "heavy = {'jax', 'numpy', 'xarray', 'matplotlib', 'scipy', 'pandas'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr


def test_python_dash_m_is_the_command_line():
    done = python("-m", "jaxsim", "--version")
    assert done.returncode == 0
    assert done.stdout.startswith("jaxsim ")


@pytest.mark.parametrize("verb", cli.verbs())
def test_every_verb_has_help_with_an_example_that_fits_the_terminal(verb, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert cli.main([verb, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"jaxsim {verb}" in shown
    assert max(map(len, shown.splitlines())) <= 60


def test_a_plan_is_shown(solved, capsys):
    assert cli.main([*ASK, *TARGETS]) == 0
    assert capsys.readouterr().out.startswith("Deploy disaggregated: 6 prefill instances")


def test_json_is_one_object_and_nothing_else(solved, capsys):
    assert cli.main([*ASK, *TARGETS, "--format", "json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["schema"] == "jaxsim.plan/1"
    assert err == ""


def test_targets_that_cannot_be_met_have_a_status_of_their_own(unsolved, capsys):
    assert cli.main([*ASK, *TARGETS]) == 3
    assert "nearest attainable is TTL 6.10 ms" in capsys.readouterr().err
    assert cli.main([*ASK, *TARGETS, "--format=json"]) == 3
    result = json.loads(capsys.readouterr().out)
    assert result["recommended"] is None
    assert result["reason"]
    assert result["error"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--ftl", "5s", "--ttl", "50"], "ambiguous: write 50ms or 50s"),
        (["--ftl", "5s"], "--ttl"),
        ([*TARGETS, "--gpus", "many"], "--gpus"),
        ([*TARGETS, "--tp", "1,x"], "--tp 'x' is not a whole number"),
        ([*TARGETS, "--hit-frac", "2"], "2% may be meant"),
        ([*TARGETS, "--draft-tokens", "2"], "belong together"),
        ([*TARGETS, "--imbalance", "0.5"], "1 to 10000 times the mean"),
        ([*TARGETS, "--objective", "fame"], "invalid choice"),
        ([*TARGETS, "--tolerance", "3"], "3% may be meant"),
        ([*TARGETS, "--nonsense"], "--nonsense"),
        ([*TARGETS, "--engine="], "'--engine=': a value is needed"),
        ([*TARGETS, "--precision", ""], "'--precision': a value is needed"),
        ([*TARGETS, "-o", "~no-such-user/out"], "no such home folder"),
    ],
)
def test_bad_input_is_one_message_and_status_2(more, says, solved, capsys):
    assert cli.main([*ASK, *more]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("jaxsim: ")
    assert says in err
    assert "Traceback" not in err
    assert cli.main([*ASK, *more, "--format", "json"]) == 2
    assert says in json.loads(capsys.readouterr().out)["error"]


@pytest.mark.parametrize("arguments", [[], ["fly"]])
def test_without_a_known_verb_it_says_so(arguments, capsys):
    assert cli.main(arguments) == 2
    assert "jaxsim --help" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (InputError("Unknown model 'x'."), 2, "Unknown model 'x'."),
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 1, "out of memory"),
        (OSError(28, "No space left on device", "plan/a.png"), 1, "plan/a.png: No space left"),
        (RuntimeError("RESOURCE_EXHAUSTED: 1 TB"), 1, "out of memory"),
        (RuntimeError("a bug"), 70, "internal error: RuntimeError: a bug"),
    ],
)
def test_whatever_fails_has_its_status_and_its_json(error, status, says, monkeypatch, capsys):
    def fails(*_):
        raise error

    monkeypatch.setattr(cli_plan, "solve", fails)
    assert cli.main([*ASK, *TARGETS, "--format", "json"]) == status
    out, err = capsys.readouterr()
    assert says in json.loads(out)["error"]
    assert says in err
    assert "Traceback" not in err


def test_a_fault_of_our_own_leaves_a_file_to_send(monkeypatch, capsys, tmp_path):
    def fails(*_):
        raise RuntimeError("a bug\nin two lines")

    monkeypatch.setattr(cli_plan, "solve", fails)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert cli.main([*ASK, *TARGETS]) == 70
    (sent,) = tmp_path.glob("jaxsim-error-*.txt")
    assert str(sent) in capsys.readouterr().err
    assert "in two lines" in sent.read_text()
    assert "Traceback" in sent.read_text()
    monkeypatch.setenv("JAXSIM_DEBUG", "1")
    assert cli.main([*ASK, *TARGETS]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_an_output_folder_that_cannot_be_written_fails_before_the_work(
    tmp_path, capsys, monkeypatch
):
    def worked(*_, **__):
        raise AssertionError("the work was done before the folder was looked at")

    monkeypatch.setattr(cli_plan, "solve", worked)
    (tmp_path / "file").write_text("x")
    assert cli.main([*ASK, *TARGETS, "-o", str(tmp_path / "file")]) == cli.BAD_INPUT
    assert "give another" in capsys.readouterr().err


def test_what_was_asked_beyond_the_usual_is_said(solved, capsys):
    more = ["--hit-frac", "30%", "--draft-tokens", "1", "--accept-frac", "0.8", "--tp", "1,2"]
    more += ["--objective", "cost", "--domain", "8", "--imbalance", "1.2", "--gpus", "exactly:64"]
    assert cli.main([*ASK, *TARGETS, *more, "--format", "json"]) == 0
    notes = " ".join(json.loads(capsys.readouterr().out)["notes"])
    for text in ("30 % of each", "1 drafted", "0.8", "tp 1,2", "dollar", "8 GPUs", "1.2", "idle"):
        assert text in notes
    assert cli.main([*ASK, *TARGETS, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == list(solved.notes)


def test_axes_that_were_given_are_passed_on():
    args = cli.build_parser().parse_args(
        [*ASK, *TARGETS, "--tp", "1,2", "--prefill-batch", "4", "--gpus", "exactly:64"]
    )
    request = cli_plan.request_of(args)
    assert options.axes_from(args) == {"tp": (1.0, 2.0), "prefill_batch": (4.0,)}
    assert (request["max_gpus"], request["exact_gpus"]) == (None, 64)
    assert (request["ftl_s"], request["ttl_s"]) == (5.0, 0.05)
    again = cli.build_parser().parse_args(provenance.command(args).split()[1:])
    assert {**vars(again), "run": 0} == {**vars(args), "run": 0}


def test_a_reader_that_leaves_is_no_error():
    shell = f"{sys.executable} -m jaxsim hardware --format json | head -c 1"
    done = subprocess.run(
        ["bash", "-c", shell + '; exit "${PIPESTATUS[0]}"'],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode in (0, 141)
    assert done.stderr == ""
