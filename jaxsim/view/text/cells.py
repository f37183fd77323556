"""Which cells of a CSV file would a spreadsheet take for a formula?  They are marked as text."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def cell(value: object) -> object:
    """The value for a cell of a CSV file; a text that would be executed gets an apostrophe.

    >>> cell("=HYPERLINK(A1)"), cell("-1.5"), cell(-1.5)
    ("'=HYPERLINK(A1)", '-1.5', -1.5)
    """
    if not isinstance(value, str) or not value.startswith(_FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
