"""How does help fit the width of a terminal?"""

import argparse
import textwrap

COMMAND = "jaxsim "
WRITTEN = 100  # columns of descriptions in the code: a full line goes on in the next
AGAIN = " \\"  # ends a line of a command that goes on


class Help(argparse.RawDescriptionHelpFormatter):
    """Descriptions and examples in lines of the terminal's width; columns of terms stay columns."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = text.split("\n\n")
        return "\n\n".join(_filled(paragraph, width) for paragraph in paragraphs)


def _filled(paragraph: str, width: int) -> str:
    """A paragraph of prose wrapped anew; of other text, only the lines that are too long."""
    lines = paragraph.split("\n")
    if not any(line.startswith(" ") for line in lines):
        joined = [lines[0]]
        for line in lines[1:]:
            full = len(joined[-1]) + 1 + len(line.split(" ")[0]) > WRITTEN
            joined[-1:] = [f"{joined[-1]} {line}"] if full else [joined[-1], line]
        return "\n".join(textwrap.fill(line, width, break_on_hyphens=False) for line in joined)
    return "\n".join(part for line in lines for part in _cut(line, width))


def _cut(line: str, width: int) -> list[str]:
    """A line in parts no wider than `width`: a command goes on after a backslash, terms hang."""
    if len(line) <= width:
        return [line]
    body = line.lstrip()
    start = len(line) - len(body)
    if body.startswith(COMMAND) or line.endswith(AGAIN) or body.startswith("--"):
        parts = textwrap.wrap(
            line.removesuffix(AGAIN), width - len(AGAIN), subsequent_indent=" " * (start + 4),
            break_on_hyphens=False, break_long_words=False,
        )  # fmt: skip
        last = AGAIN if line.endswith(AGAIN) else ""
        return [*(part + AGAIN for part in parts[:-1]), parts[-1] + last]
    column = body.rfind("   ") + 3 if "   " in body else 0
    hang = min(start + column, width // 2)
    return textwrap.wrap(line, width, subsequent_indent=" " * hang, break_on_hyphens=False)
