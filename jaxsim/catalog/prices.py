"""What does an hour of an accelerator cost, where the catalogue's price is not ours?

A price is a datum: a value with its kind, source and date. A price file is a TOML of such data, by
the name of the hardware:

    from = "quote"
    h200 = 2.9
    gb200-nvl72 = { value = 3.2, note = "three years reserved" }

    [sources.quote]
    kind = "spec"
    source = "Our contract"
    date = 2026-11-01
"""

import dataclasses
import datetime
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from jaxsim.catalog._datum import DataFile, Datum
from jaxsim.catalog.cards import HardwareCard
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.names import resolve_hardware

KEY = "price_usd_per_hour"


def priced(card: HardwareCard, price: Datum) -> HardwareCard:
    """The same hardware at another price an hour of one GPU, with where that price came from."""
    hardware = dataclasses.replace(card.hardware, price_usd_per_hour=price.number)
    provenance = {**card.provenance, KEY: price}
    return dataclasses.replace(card, hardware=hardware, provenance=provenance)


def with_price(card: HardwareCard, usd_per_hour: float, source: str = "given") -> HardwareCard:
    """The same hardware where an hour of one GPU costs so many dollars; `source` says who says so.

    `jaxsim.plan(…, objective="cost")` and every cost follow it.

    >>> card = jaxsim.with_price(jaxsim.load_hardware("h100"), 2.5, source="my contract")
    >>> card.hardware.price_usd_per_hour
    2.5
    """
    if not (math.isfinite(usd_per_hour) and usd_per_hour > 0):
        raise InputError(f"usd_per_hour = {usd_per_hour}: more than 0 dollars are needed.")
    return priced(card, Datum(float(usd_per_hour), "assumed", source, datetime.date.today()))


def price_source(card: HardwareCard) -> str:
    """Where a card's price comes from, and of when it is; empty where it does not say."""
    datum = card.provenance.get(KEY)
    return "" if datum is None else f"{datum.source}, {datum.date}"


def given_prices(texts: list[str], today: datetime.date | None = None) -> dict[str, Datum]:
    """Prices as they are given on a command line: `gb200=3.2`, in dollars an hour of one GPU."""
    prices = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            usd = float(value)
        except ValueError:
            usd = math.nan
        if not (name and math.isfinite(usd) and usd > 0):
            raise InputError(
                f"--price {text!r}: give HW=USD, the dollars of an hour of one GPU, as gb200=3.2."
            )
        date = today or datetime.date.today()
        prices[resolve_hardware(name)] = Datum(usd, "assumed", "given with --price", date)
    return prices


def check_used(texts: list[str], used: Iterable[str]) -> None:
    """Refuse a price on the command line of hardware that is not in use: a slip in its name."""
    for name in given_prices(texts):
        if name not in set(used):
            held = ", ".join(dict.fromkeys(used))
            raise InputError(f"--price {name}=…: no pool is of {name}; there is {held}.")


def read_prices(path: Path) -> dict[str, Datum]:
    """The prices of a TOML file, each with its source."""
    file = DataFile(path)
    names = [name for name in file.root.raw if name not in ("from", "sources", "kind")]
    prices = {}
    for name in names:
        file.root.number(name)
        prices[resolve_hardware(name)] = file.provenance[name]
    file.finish()
    if not prices:
        raise InputError(f"{path}: has no price; write the name of hardware = dollars an hour.")
    return prices


def at_prices(card: HardwareCard, prices: Mapping[str, Datum]) -> HardwareCard:
    """The card at the price given for it, or as it is."""
    return priced(card, prices[card.name]) if card.name in prices else card
