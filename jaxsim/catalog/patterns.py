"""Does a list of a quantisation config name a module?

Lists hold names of modules or of parts of them, globs, and regular expressions after `re:`. These
come from files of others: all expressions are one, which runs in linear time (RE2), whatever they
are.
"""

import re
from collections.abc import Iterable

from jaxsim.catalog.documents import quoted
from jaxsim.catalog.errors import InputError

# What comes before the layers in checkpoints of multimodal wrappers and of families.
_WRAPPERS = ("model.language_model.", "language_model.model.", "language_model.", "backbone.",
             "model.", "transformer.")  # fmt: skip
_MOST_CHARACTERS = 10**6  # of all patterns together
_CLASS = re.compile(r"\[(!?)([^\]/\\]+)\]")
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
        if sum(map(len, (*globs, *expressions))) > _MOST_CHARACTERS:
            raise InputError(f"{path}: the patterns of the quantisation config are too long.")
        for text in expressions:
            _compiled(text, path)  # says which one is at fault
        self.globs = _joined([_glob(text) for text in globs], path)
        self.expressions = _joined(expressions, path)

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
        whole = (module, f"model.{module}", f"{module}.")
        if self.globs and any(map(self.globs.fullmatch, whole)):
            return True
        if not self.expressions:
            return False
        return any(self.expressions.match(f"{wrapper}{module}") for wrapper in _SPELT)


def _glob(text: str) -> str:
    """A glob as an expression: `*`, `?` and classes such as `[0-9]`."""
    parts, place = [], 0
    while place < len(text):
        held = _CLASS.match(text, place)
        if held:
            parts.append(f"[{'^' if held[1] else ''}{held[2]}]")
            place = held.end()
            continue
        parts.append({"*": ".*", "?": "."}.get(text[place], re.escape(text[place])))
        place += 1
    return "(?s:" + "".join(parts) + ")"


def _joined(expressions: list[str], path: str):
    """One expression for any of them; None where there are none."""
    if not expressions:
        return None
    return _compiled("|".join(f"(?:{text})" for text in expressions), path)


def _compiled(text: str, path: str):
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else error
        raise InputError(
            f"{path}: pattern {quoted(text)} of the quantisation config is not supported: "
            f"{reason}. List the modules by name or by glob instead."
        ) from None
