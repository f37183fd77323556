"""How does a YAML file ask for a verb?  Its keys are the verb's options, and strict.

    verb: plan
    model: llama-3.1-70b
    hardware: h200
    isl: 4096
    osl: 512
    ftl: 2s
    ttl: 40ms
    tp: [1, 2, 4]
    price: {h200: 2.9}

`jaxsim run FILE` runs it, `--set ttl=30ms` changes a key, `jaxsim schema run-plan` prints the JSON
Schema. Everything that a verb writes says how it was made, so that the run can be repeated: a
folder holds `run.yaml`, a store or NetCDF file the attribute `run` (of a sweep, `config` is its own
file), a TOML file comments at its head, and beside FILE.csv lies FILE.csv.run.yaml.
"""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path

from jaxsim._version import __version__
from jaxsim.catalog.documents import (
    MOST_YAML_BYTES,
    given_path,
    parse_yaml,
    quoted,
    read_json,
    read_text,
)
from jaxsim.catalog.errors import InputError, nearest

NAME = "run.yaml"
# Where a Zarr store has its attributes, and which of them has the options of the run.
STORE, KEPT = "zarr.json", "run"
# Lines of TOML that hold it, and what follows the name of a file that cannot.
COMMENT, BESIDE = "#: ", ".run.yaml"
_HEAD = "# How this file was made: `jaxsim run FILE -o AGAIN` repeats it.\n"
# Where and how to write is not part of a request: these keys are never in a file.
APART = ("help", "output", "format")


def actions_of(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """The options of a verb by key."""
    return {
        action.dest.replace("_", "-"): action
        for action in parser._actions  # argparse has no public list
        if action.dest not in APART
    }


def synonyms_of(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """The options of a verb by every name they have, such as ftl and ttft."""
    by_name = actions_of(parser)
    for action in list(by_name.values()):
        by_name |= {name.lstrip("-"): action for name in action.option_strings}
    return by_name


def verbs_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of the verbs that a parser has, by name."""
    parsers: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if action.nargs == argparse.PARSER and isinstance(action.choices, dict):
            parsers |= action.choices
    return parsers


def _repeats(action: argparse.Action) -> bool:
    """Whether an option may be given several times, each adding to a list."""
    return isinstance(action, _REPEATED)


# The class that argparse keeps for such options.
_REPEATED = type(argparse.ArgumentParser().add_argument("--any", action="append"))


def parser_of(parsers: argparse.ArgumentParser, verb: str) -> argparse.ArgumentParser:
    """The parser of one verb."""
    choices = verbs_of(parsers)
    if verb not in choices:
        close = nearest(str(verb), choices)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise InputError(f"{verb!r} is no verb of jaxsim.{hint}")
    return choices[verb]


def config_schema(verb: str, parser: argparse.ArgumentParser) -> dict[str, object]:
    """The JSON Schema of a verb's run file."""
    scalar = {"type": ["string", "number"]}
    properties: dict[str, object] = {"verb": {"const": verb}}
    required = ["verb"]
    for key, action in actions_of(parser).items():
        said = {"description": (action.help or "").replace("%%", "%")}
        if action.nargs == 0:
            kind: dict[str, object] = {"type": "boolean"}
        elif _repeats(action):
            items = {"type": "array", "items": scalar}
            kind = {"anyOf": [items, {"type": "object", "additionalProperties": scalar}]}
        elif action.choices:
            kind = {"enum": list(action.choices)}
        else:
            kind = {"anyOf": [scalar, {"type": "array", "items": scalar}]}
        if action.default not in (None, False, [], argparse.SUPPRESS):
            kind["default"] = action.default
        if verb == "sweep" and key == "config":
            from jaxsim.view.files.sweep_config import SCHEMA

            own = {name: value for name, value in SCHEMA.items() if name != "$schema"}
            kind = {"anyOf": [{"type": "string"}, own]}
        properties[key] = {**said, **kind}
        if action.required:
            required.append(key)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"jaxsim {verb}",
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _text_of(path: Path) -> str:
    """The YAML of a file, or of whatever a verb wrote: a folder, store, NetCDF, TOML, CSV."""
    missing = "`jaxsim schema run-plan` says what one holds."
    if path.is_dir() and (path / NAME).exists():
        return read_text(path / NAME)
    kept: object = {}
    if path.is_dir() and (path / STORE).exists():
        root = read_json(path / STORE)
        kept = root.get("attributes") if isinstance(root, dict) else {}
    elif path.suffix == ".nc" and path.is_file():
        import h5py

        try:
            with h5py.File(path, "r") as file:
                kept = {KEPT: file.attrs.get(KEPT)}
        except Exception as error:  # of the HDF5 library, whatever it makes of a damaged file
            raise InputError(f"{path}: is no NetCDF file that can be read: {error}.") from None
    elif path.suffix == ".toml":
        lines = read_text(path, missing=missing).splitlines()
        kept = {KEPT: "\n".join(t.removeprefix(COMMENT) for t in lines if t.startswith(COMMENT))}
    elif path.suffix == ".csv":
        return read_text(Path(f"{path}{BESIDE}"), MOST_YAML_BYTES, missing)
    else:
        return read_text(path, MOST_YAML_BYTES, missing)
    text = kept.get(KEPT) if isinstance(kept, dict) else None
    if not isinstance(text, str) or not text:
        raise InputError(f"{path}: does not say how it was made; give a run.yaml.")
    return text


def read_config(path: Path) -> dict[str, object]:
    """The table of a YAML file, or of what a verb wrote; data only."""
    path = given_path(path)
    raw = parse_yaml(_text_of(path), path)
    beside = path.parent / NAME
    if path.suffix == ".json" and isinstance(raw, dict) and "verb" not in raw and beside.exists():
        raw = parse_yaml(read_text(beside, MOST_YAML_BYTES), beside)
    if not isinstance(raw, dict) or "verb" not in raw:
        raise InputError(f"{path}: a table with the key 'verb' is needed, such as verb: plan.")
    raw.pop("jaxsim", None)
    return raw


def changed(raw: dict[str, object], settings: Iterable[str]) -> dict[str, object]:
    """The table with `a.b=c` of each setting; values are read as YAML."""
    made = dict(raw)
    for text in settings:
        where, equals, value = text.partition("=")
        if not (where and equals):
            raise InputError(f"--set {text!r}: give KEY=VALUE, with dots to go into a table.")
        read = parse_yaml(value, f"--set {quoted(text)}")
        *parents, last = where.split(".")
        table = made
        for parent in parents:
            held = table.get(parent)
            inner: dict[str, object] = dict(held) if isinstance(held, dict) else {}
            table[parent] = table = inner
        table[last] = read
    return made


def words_of(raw: dict[str, object], parser: argparse.ArgumentParser, where: str) -> list[str]:
    """The command line of a table of options; unknown keys are refused by path."""
    actions = synonyms_of(parser)
    flags: list[str] = []
    positional: list[str] = []
    for key, value in raw.items():
        if key == "verb":
            continue
        if key not in actions:
            close = nearest(str(key), actions)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(actions)}"
            raise InputError(f"{where}: {raw['verb']}.{key}: unknown key; {hint}")
        action = actions[key]
        if value is None or value is False or value == action.default == "":
            continue
        if action.nargs == 0:
            if value is not True:
                raise InputError(f"{where}: {raw['verb']}.{key}: {value!r} is not true or false.")
            flags.append(action.option_strings[-1])
            continue
        several = _repeats(action) or action.nargs in ("+", "*")
        texts = _texts(value, several)
        if not all(texts or [""]) or (isinstance(value, dict) and not several):
            given = quoted(value)
            raise InputError(f"{where}: {raw['verb']}.{key}: {given} is no value; give one.")
        if not action.option_strings:
            positional += texts
        elif _repeats(action):
            flags += [f"{action.option_strings[-1]}={text}" for text in texts]
        elif action.nargs == "+":
            flags += [action.option_strings[-1], *texts]
        else:
            flags.append(f"{action.option_strings[-1]}={texts[0]}")
    return [*positional, *flags]


def _texts(value: object, several: bool) -> list[str]:
    """A value as the command line has it: a list joined by commas, or one word each."""
    if isinstance(value, dict):
        return [f"{name}={_text(own)}" for name, own in value.items()]
    if isinstance(value, list):
        texts = [_text(own) for own in value]
        return texts if several else [",".join(texts)]
    return [_text(value)]


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def resolved(args: argparse.Namespace, parser: argparse.ArgumentParser) -> dict[str, object]:
    """The request, defaults included, as a table from which `jaxsim run` repeats it."""
    made: dict[str, object] = {"jaxsim": __version__, "verb": args.verb}
    for key, action in actions_of(parser).items():
        value = getattr(args, action.dest, None)
        if value not in (None, False, [], ""):
            made[key] = value
    return made


def keep(folder: Path, table: dict[str, object]) -> None:
    """Leave the resolved configuration in the folder that a verb wrote."""
    from jaxsim.view.files.atomic import replace_text

    replace_text(folder / NAME, _yaml(table, f"jaxsim run {NAME} -o DIR"))


def keep_beside(path: Path, table: dict[str, object]) -> None:
    """Leave it beside the CSV file that a verb wrote; NetCDF and TOML have it within."""
    from jaxsim.view.files.atomic import replace_text

    if path.suffix == ".csv":
        replace_text(Path(f"{path}{BESIDE}"), _yaml(table, f"jaxsim run {path.name} -o AGAIN.csv"))


def write_toml(
    path: Path, text: str, made_by: str, check: Callable[[Path], object] = lambda path: None
) -> None:
    """Write a TOML file with the options of its run as comments at its head, whole or not at all.

    `check` reads it back before it takes its name.
    """
    from jaxsim.view.files.atomic import replace_file

    lines = "".join(f"{COMMENT}{line}\n" for line in made_by.splitlines())

    def write(temporary: Path) -> None:
        temporary.write_text(f"{_HEAD}{lines}\n{text}", encoding="utf-8")
        check(temporary)

    replace_file(path, write)


def _yaml(table: dict[str, object], again: str) -> str:
    from jaxsim.view.deploy.yaml_text import yaml_text

    return yaml_text([table], f"The options of this run, with defaults: `{again}` repeats it.")
