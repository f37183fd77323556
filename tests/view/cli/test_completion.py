"""Shells complete what the command line has."""

import subprocess

import pytest

from jaxsim.view.cli import main as cli


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_every_verb_is_completed(shell, capsys):
    assert cli.main(["completion", shell]) == cli.OK
    script = capsys.readouterr().out
    for word in (*cli.verbs(), "--prefill-hardware"):
        assert word in script


def test_bash_reads_the_script_and_completes(capsys):
    """In a bash of its own: a verb by its beginning, and an option of that verb."""
    cli.main(["completion", "bash"])
    script = capsys.readouterr().out
    ask = """
for words in "jaxsim pl" "jaxsim plan --prefill-h"; do
  COMP_WORDS=($words); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
  _shtab_jaxsim; echo "${COMPREPLY[@]}"
done
"""
    done = subprocess.run(["bash"], input=script + ask, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["plan", "--prefill-hardware"]


def test_an_unknown_shell_is_bad_input(capsys):
    assert cli.main(["completion", "fish"]) == cli.BAD_INPUT
    assert "bash" in capsys.readouterr().err
