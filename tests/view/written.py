"""Is what a verb wrote or printed as its JSON Schema says?"""

import json
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import msgspec

from jaxsim.view.files.schemas.names import FILES, schema_of


@cache
def _validator(name: str) -> jsonschema.Draft202012Validator:
    schema = schema_of(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def checked_file(name: str, path: Path) -> Any:
    """The tables of a TOML file; an error unless its types hold."""
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    msgspec.convert(raw, type=FILES[name][0])
    return raw


def checked(name: str, written: str | Path) -> Any:
    """The JSON of a text or a file; an error unless its schema and its types hold."""
    text = written.read_text(encoding="utf-8") if isinstance(written, Path) else written
    result = json.loads(text)
    _validator(name).validate(result)
    msgspec.json.decode(text, type=FILES[name][0])
    return result
