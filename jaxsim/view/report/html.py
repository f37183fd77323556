"""How are tables, bars and pictures written in HTML?  Every text is escaped here."""

import base64
from collections.abc import Iterable, Sequence
from html import escape


def tag(name: str, content: str, **attributes: str) -> str:
    """An element around HTML that is already escaped; `class_` is `class`."""
    given = "".join(f' {key.rstrip("_")}="{escape(text)}"' for key, text in attributes.items())
    return f"<{name}{given}>{content}</{name}>"


def paragraph(text: str, class_: str = "") -> str:
    """A paragraph of plain text; nothing where there is none."""
    if not text:
        return ""
    return tag("p", escape(text), **({"class_": class_} if class_ else {}))


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[int] = (0,), class_: str = ""
) -> str:
    """A table of plain texts; columns in `left` are flush left, the others flush right."""

    def row(cells: Sequence[str], kind: str) -> str:
        return "".join(
            tag(kind, escape(cell), **({"class_": "l"} if i in left else {}))
            for i, cell in enumerate(cells)
        )

    body = "".join(tag("tr", row(cells, "td")) for cells in rows)
    top = tag("thead", tag("tr", row(head, "th"))) if any(head) else ""
    inner = tag("table", top + tag("tbody", body), **({"class_": class_} if class_ else {}))
    return tag("div", inner, class_="scroll")


def card(name: str, value: str, detail: str = "") -> str:
    """One key figure."""
    return tag(
        "div",
        tag("div", escape(name), class_="name")
        + tag("div", escape(value), class_="value")
        + tag("div", escape(detail), class_="detail"),
        class_="card",
    )


def stacked_bar(segments: Sequence[tuple[str, float, str]]) -> str:
    """A bar of (label, fraction, colour) segments, each with its label as a tooltip."""
    return tag(
        "div",
        "".join(
            tag("span", "", style=f"width:{100 * frac:.3f}%;background:{colour}", title=label)
            for label, frac, colour in segments
            if frac > 0.0
        ),
        class_="bar",
    )


def swatches(entries: Iterable[tuple[str, str]]) -> str:
    """A legend of (label, colour) pairs."""
    return tag(
        "div",
        "".join(
            tag("span", tag("i", "", style=f"background:{colour}") + escape(label))
            for label, colour in entries
        ),
        class_="legend",
    )


def picture(svg: bytes, alt: str, caption: str) -> str:
    """An SVG picture inside the page itself, with what it shows."""
    encoded = base64.b64encode(svg).decode("ascii")
    image = f'<img src="data:image/svg+xml;base64,{encoded}" alt="{escape(alt)}">'
    return tag("figure", image + tag("figcaption", escape(caption)))


def details(summary: str, content: str) -> str:
    """Content that is folded until a reader opens it."""
    return tag("details", tag("summary", escape(summary)) + content)


def section(title: str, *content: str) -> str:
    """A section with its heading; nothing where it has no content."""
    inner = "".join(content)
    return tag("section", tag("h2", escape(title)) + inner) if inner else ""
