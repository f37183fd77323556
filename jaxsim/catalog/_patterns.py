"""Does a list of a quantisation config name a module?

Lists hold names of modules or of parts of them, globs, and regular expressions after `re:`. These
come from files of others: regular expressions run in linear time (RE2), whatever they are.
"""

import fnmatch
import re
from collections.abc import Iterable

from jaxsim.catalog.errors import InputError

# What comes before the layers in checkpoints of multimodal wrappers and of families.
_WRAPPERS = ("model.language_model.", "language_model.model.", "language_model.", "backbone.",
             "model.", "transformer.")  # fmt: skip
_SPELT = ("model.", "", "model.language_model.", "language_model.model.", "backbone.")


def _bare(pattern: str) -> str:
    for wrapper in _WRAPPERS:
        if pattern.startswith(wrapper):
            return pattern[len(wrapper) :]
    return pattern


class Patterns:
    """Names of modules, as a quantisation config lists them."""

    def __init__(self, listed: Iterable[str], path: str):
        self.names: set[str] = set()
        self.starts: tuple[str, ...] = ()
        globs: list[str] = []
        expressions: list[str] = []
        for entry in listed:
            if entry.startswith("re:"):
                expressions.append(entry[3:])
            elif not any(mark in entry for mark in "*?["):
                self.names.add(_bare(entry))
            elif entry.endswith("*") and not any(mark in entry[:-1] for mark in "*?["):
                self.starts = (*self.starts, _bare(entry[:-1]))
            else:
                globs.append(_bare(entry))
        joined = "|".join(fnmatch.translate(glob) for glob in globs)
        self.globs = re.compile(joined) if globs else None
        self.expressions = [_compiled(text, path) for text in expressions]

    def __bool__(self) -> bool:
        return bool(self.names or self.starts or self.globs or self.expressions)

    def match(self, spellings: tuple[str, ...]) -> bool:
        """Whether any spelling of a module is named: itself, what holds it, or a part of it."""
        return any(self._names(name) for name in spellings)

    def _names(self, module: str) -> bool:
        parts = module.split(".")
        if self.names and any(
            ".".join(parts[i:j]) in self.names
            for i in range(len(parts))
            for j in range(i + 1, len(parts) + 1)
        ):
            return True
        if module.startswith(self.starts or ("\0",)):
            return True
        if self.globs and (self.globs.match(module) or self.globs.match(f"model.{module}")):
            return True
        if self.globs and self.globs.match(f"{module}."):
            return True
        spelt = [f"{wrapper}{module}" for wrapper in _SPELT]
        return any(found.match(name) for found in self.expressions for name in spelt)


def _compiled(text: str, path: str):
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else error
        raise InputError(
            f"{path}: pattern {text!r} of the quantisation config is not supported: {reason}. "
            "List the modules by name or by glob instead."
        ) from None
