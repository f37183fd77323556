"""At which rate do the requests of a plan arrive?  Options that `plan` has and fields they fill."""

import argparse
from typing import TypedDict

from jaxsim.view.cli import parse


def add_arrivals(parser: argparse.ArgumentParser) -> None:
    """Options of a rate at which targets hold at a percentile."""
    group = parser.add_argument_group("arrivals: pools in which targets hold with queues")
    group.add_argument("--rate", metavar="R", help="requests/s, that arrive at random")
    group.add_argument("--percentile", metavar="P", help="of requests within the targets: 95")
    group.add_argument("--cv", default="1", metavar="X", help="variation of gaps (1: Poisson)")


class Arrivals(TypedDict):
    """Fields of a `PlanRequest` that say how requests arrive."""

    requests_per_s: float | None
    percentile: float | None
    cv: float


def arrivals_from(args: argparse.Namespace) -> Arrivals:
    """Rate, percentile and variation of the request; none where the verb asks for no rate."""
    rate, percentile = getattr(args, "rate", None), getattr(args, "percentile", None)
    return {
        "requests_per_s": None if rate is None else parse.parse_positive(rate, "--rate"),
        "percentile": (
            None if percentile is None else parse.parse_positive(percentile, "--percentile")
        ),
        "cv": parse.parse_positive(getattr(args, "cv", "1"), "--cv"),
    }
