"""What is wrong with what the user gave?"""

import difflib
from collections.abc import Iterable, Sequence


class InputError(ValueError):
    """Bad input: says what was given, what is allowed, and what to do.

    The command line shows the message alone and exits with status 2.

    >>> try:
    ...     jaxsim.load_hardware("h1000")
    ... except jaxsim.InputError as error:
    ...     "h100" in str(error)
    True
    """


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The known names most like `name`, best first."""
    return difflib.get_close_matches(name.lower(), list(known), n=count, cutoff=0.4)


def unknown_name(kind: str, name: str, known: Iterable[str], hint: str) -> InputError:
    """An error for a name that nothing has, naming the nearest that something does."""
    known = sorted(known)
    close = nearest(name, known)
    suggestion = f" Nearest known: {', '.join(close)}." if close else ""
    return InputError(f"Unknown {kind} {name!r}.{suggestion} {hint}")


def check_known(function: str, keywords: Iterable[str], known: Sequence[str]) -> None:
    """Refuse a keyword that a public function lacks, as Python does, with the nearest it has."""
    for name in keywords:
        if name not in known:
            close = nearest(name, known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(known)}"
            raise TypeError(f"jaxsim.{function}() has no keyword {name!r}; {hint}")
