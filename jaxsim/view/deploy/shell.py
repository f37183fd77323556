"""How are words of a plan written into a script or a file so that nothing in them is executed?"""

import re
import shlex
from collections.abc import Sequence

from jaxsim.catalog.errors import InputError

# What Kubernetes allows as the name of an object, and hubs as the name of a model.
_DNS = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_PARTITION = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_.]*")


def line_of(words: Sequence[str], indent: str = "    ") -> str:
    """A command of quoted words, each option on a line of its own with what follows it."""
    lines: list[list[str]] = [[]]
    for word in words:
        if word.startswith("--"):
            lines.append([])
        lines[-1].append(shlex.quote(word))
    return f" \\\n{indent}".join(" ".join(line) for line in lines if line)


def object_name(text: str, size: int = 40) -> str:
    """A name that Kubernetes takes, made from a model's name."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:size].strip("-")
    if not _DNS.fullmatch(name):
        raise InputError(f"{text!r} leaves no name that Kubernetes takes; give one with --name.")
    return name


def checked_name(text: str, flag: str) -> str:
    """A name that was given for Kubernetes, or an error."""
    if not _DNS.fullmatch(text) or len(text) > 40:
        raise InputError(
            f"{flag} {text!r}: lower-case letters, digits and hyphens, 40 at most, are allowed."
        )
    return text


def checked_partition(text: str) -> str:
    """The name of a partition of Slurm, or an error; it stands in a line that Slurm reads."""
    if not _PARTITION.fullmatch(text):
        raise InputError(f"--partition {text!r}: letters, digits, '-', '_' and '.' are allowed.")
    return text


def one_line(text: str, flag: str) -> str:
    """A word that was given for a file: printable, on one line, without leading dash."""
    if not text or not text.isprintable() or text.startswith("-") or text != text.strip():
        raise InputError(f"{flag} {text!r}: one printable word is needed, without a leading dash.")
    return text


def script(title: str, lines: Sequence[str]) -> str:
    """A bash script that stops at the first failure."""
    head = ["#!/usr/bin/env bash", f"# {title}", "set -euo pipefail", ""]
    return "\n".join([*head, *lines]) + "\n"
