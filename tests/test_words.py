"""Do docstrings, comments and documents name things that exist?"""

import ast
import builtins
import functools
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
CHECKED = ("jaxsim", "tests", "benchmarks", "examples")
# Of JAX, and of the files and settings of others.
FOREIGN = {"distributed", "profile_export_aiperf", "stage_N_lifecycle_metrics", "PlannerConfig"}
FOREIGN |= {"vX"}  # in a tag
WRITTEN = {"plan/plan.json"}  # by commands that documents show


def _read(source: str) -> tuple[set[str], list[tuple[int, str]]]:
    """Every name in the code, words of texts in it included; and docstrings and comments."""
    names: set[str] = set()
    prose = [(i, line) for i, line in enumerate(source.splitlines(), 1) if "# " in line]
    prose = [(i, line.split("# ", 1)[1]) for i, line in prose]
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        for field in ("id", "attr", "arg", "name", "module"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                names.update(value.split("."))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                docstrings.add(id(first.value))
                prose.append((first.lineno, str(first.value.value)))
        elif isinstance(node, ast.Constant) and id(node) not in docstrings:
            names.update(re.findall(r"\w+", str(node.value)))
    return names, prose


@functools.cache
def _all() -> tuple[frozenset[str], list[tuple[str, int, str]]]:
    """Names of code, files and data; and what docstrings and comments say, with its place."""
    listed = subprocess.run(
        ["git", "ls-files", *CHECKED], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    known, prose = set(FOREIGN), []
    for name in listed:
        known.update(re.findall(r"\w+", name))
        if name.endswith(".toml"):
            known.update(re.findall(r"\w+", (ROOT / name).read_text(encoding="utf-8")))
        if name.endswith(".py"):
            names, said = _read((ROOT / name).read_text(encoding="utf-8"))
            known |= names
            prose += [(name, line, text) for line, text in said]
    return frozenset(known), prose


def _unknown(prose: list[tuple[str, int, str]], known: frozenset[str]) -> list[str]:
    return [
        f"{name}:{line}: {quoted}"
        for name, line, text in prose
        for quoted in re.findall(r"`([\w./]+)(?:\(\))?`", text)
        for word in re.findall(r"[A-Za-z_]\w+", quoted)
        if word not in known and not word.endswith("_")
    ]


def test_names_in_prose_exist():
    """What is in backticks and looks like a name is one: of code, of a file, of a datum."""
    known, prose = _all()
    unknown = _unknown(prose, known)
    assert not unknown, "\n".join(unknown)


def test_names_in_documents_exist():
    """The same of Markdown, but for the history of changes; and its paths are those of files."""
    names, _ = _all()
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    known = names | frozenset(dir(builtins)) | frozenset(re.findall(r"\w+", " ".join(listed)))
    places = {"/" + name for name in listed} | {"/" + str(Path(n).with_suffix("")) for n in listed}
    places |= {"/" + str(parent) for name in listed for parent in Path(name).parents}
    wrong = []
    for name in listed:
        if not name.endswith(".md") or name == "CHANGELOG.md":
            continue
        text = (ROOT / name).read_text(encoding="utf-8")
        text = re.sub(r"^```.*?^```", lambda m: "\n" * m[0].count("\n"), text, flags=re.S | re.M)
        lines = [(name, i, line) for i, line in enumerate(text.splitlines(), 1)]
        wrong += _unknown(lines, known)
        wrong += [
            f"{name}:{i}: no file {path}"
            for _, i, line in lines
            for path in re.findall(r"`((?:[\w-]+/)+[\w-]+(?:\.(?:py|toml|md|csv|json))?)`", line)
            if path not in WRITTEN and not re.match(r"[A-Z]+/", path)
            if not any(one.endswith("/" + path) for one in places)
        ]
    assert not wrong, "\n".join(wrong)
