"""What plain data does a file of others hold?  JSON, TOML, YAML and text, within bounds.

Everything that is read from disk by name enters here: a size, a depth and a length of numbers
beyond any real file is refused with the file's name, whatever the libraries below would do. The
content is data only; nothing in it is executed.
"""

import json
import re
import tomllib
from pathlib import Path
from typing import NoReturn

from jaxsim.catalog.errors import InputError

MOST_BYTES = 32 * 2**20  # a configuration, a plan, a result of a benchmark
MOST_TABLE_BYTES = 2 * 2**30  # a trace or a table of rows
MOST_YAML_BYTES = 2**18  # its reader takes 10 s for a megabyte
_MOST_TOML_BYTES = 4 * 2**20
_MOST_NODES, _DEEPEST = 10**6, 100
_OWN = Path(__file__).parent / "data"  # as it was installed
# A float holds numbers of 309 digits.
_MOST_DIGITS = 300
# What steers a terminal, or turns the direction of what follows; half a character of JSON.
_CONTROL = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_ESCAPED = re.compile(
    r"\\u(00(0[0-8bcef]|1[0-9a-f]|7f|[89][0-9a-f])|202[a-e]|206[6-9]|d[89ab]..(?!\\ud[c-f])"
    r"|(?<!\\ud[89ab]..\\u)d[c-f]..)",
    re.IGNORECASE,
)


def given_path(text: str | Path, what: str = "") -> Path:
    """The path that a text names, with `~` and `~user` for home folders."""
    path = Path(text)
    try:
        path = path.expanduser()
        path.lstat()
    except RuntimeError:
        raise InputError(f"{what}{quoted(str(text))}: there is no such home folder.") from None
    except FileNotFoundError:
        return path
    except (OSError, ValueError) as error:
        raise InputError(
            f"{what}{quoted(str(text))}: is no name of a file: {_why(error)}; give another."
        ) from None
    return path


def shown(given: object, most: int = 60) -> str:
    """What was given, on one line and cut where it is long."""
    try:
        text = given if isinstance(given, str) else str(given)
    except (ValueError, RecursionError):  # an integer of thousands of digits; a deep list
        text = f"a {type(given).__name__} that is too long to be shown"
    return printable(text if len(text) <= most else f"{text[: most - 1]}…")


def printable(text: str) -> str:
    """The text with its control characters spelled out, so that no terminal obeys them."""
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def quoted(given: object) -> str:
    """What was given as Python writes it, cut where it is long."""
    try:
        return shown(repr(given))
    except (ValueError, RecursionError):
        return shown(given)


def read_text(
    path: Path,
    most_bytes: int = MOST_BYTES,
    missing: str = "",
    encoding: str = "utf-8",
    errors: str = "strict",
) -> str:
    """The text of a file of at most so many bytes; `missing` is said where there is none."""
    try:
        with path.open("rb") as file:
            raw = file.read(most_bytes + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: no such file.{' ' if missing else ''}{missing}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {_why(error)}.") from None
    if len(raw) > most_bytes:
        raise InputError(f"{path}: larger than {_size(most_bytes)}, which no such file is.")
    try:
        return printable(raw.decode(encoding, errors))
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: cannot be read: not text in UTF-8 (at byte {error.start})."
        ) from None


def _size(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 2**20 else f"{count >> 10} KiB"


def _why(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


class NumberTooLong(ValueError):
    """A number that no float holds."""


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise NumberTooLong(f"a number of {len(text)} digits")
    return int(text)


def _real(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise NumberTooLong(f"the number {shown(text)} is beyond 1e308")
    return value


# Made once: a trace has millions of lines.
_DECODER = json.JSONDecoder(parse_int=_whole, parse_float=_real)


def decode_json(text: str) -> object:
    """The value of a JSON text; a ValueError says what is wrong with it, depth included."""
    if "\\u" in text and (match := _ESCAPED.search(text)):
        raise ValueError(f"the control character {match[0]}")
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def parse_json(text: str, where: object) -> object:
    """The value of a JSON text; an InputError names where it is from."""
    try:
        return decode_json(text)
    except ValueError as error:
        raise InputError(f"{where}: not valid JSON: {error}.") from None


def read_json(path: Path, missing: str = "", most_bytes: int = MOST_BYTES) -> object:
    """The value that a JSON file holds."""
    return parse_json(read_text(path, most_bytes, missing, "utf-8-sig"), path)


def read_toml(path: Path, missing: str = "") -> dict[str, object]:
    """The table that a TOML file holds."""
    text = read_text(path, _MOST_TOML_BYTES, missing)
    try:
        raw = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        _refuse(path, "TOML", error)
    if _OWN not in path.parents:
        _check(raw, path)
    return raw


def read_yaml(path: Path, missing: str = "") -> object:
    """The value that a YAML file holds."""
    return parse_yaml(read_text(path, MOST_YAML_BYTES, missing), path)


def parse_yaml(text: str, where: object) -> object:
    """The value of a YAML text of plain scalars, lists and tables."""
    import yaml

    try:
        raw = yaml.safe_load(text)
    except Exception as error:  # PyYAML lets more than its own errors out: of dates, of numbers
        _refuse(where, "YAML", error)
    _check(raw, where)
    return raw


def _refuse(where: object, kind: str, error: Exception) -> NoReturn:
    said = "nested too deep" if isinstance(error, RecursionError) else str(error)
    if digits := re.search(r"Exceeds the limit .* has (\d+) digits", said):  # Python's own words
        said = f"a number of {digits[1]} digits"
    raise InputError(f"{where}: not valid {kind}: {shown(said, 400)}.") from None


def _check(raw: object, where: object) -> None:
    """An error where a value is nested too deep, has too many parts, or a number is too long.

    References of YAML count each time: a few lines can stand for billions of entries.
    """
    held: list[tuple[object, int]] = [(raw, 0)]
    nodes = 0
    while held:
        value, depth = held.pop()
        nodes += 1
        if nodes > _MOST_NODES:
            raise InputError(f"{where}: has more than {_MOST_NODES:,} entries.")
        if depth > _DEEPEST:
            raise InputError(f"{where}: nested too deep: more than {_DEEPEST} levels.")
        if isinstance(value, dict):
            held += [(one, depth + 1) for pair in value.items() for one in pair]
        elif isinstance(value, list | tuple | set):
            held += [(one, depth + 1) for one in value]
        elif isinstance(value, str) and (match := _CONTROL.search(value)):
            raise InputError(f"{where}: a text has the control character {match[0]!r}.")
        elif isinstance(value, int) and value.bit_length() > 1000:
            raise InputError(f"{where}: a number has more than {_MOST_DIGITS} digits.")
