"""Which numbers and names do files share, and what is a table of known keys?"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[float, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Ends = Annotated[list[float | None], Meta(min_length=2, max_length=2)]
Pool = Literal["prefill", "decode", "colocated"]
Kind = Literal["disaggregated", "colocated"]


class File(Struct, forbid_unknown_fields=True, kw_only=True):
    """A table whose keys are all known."""
