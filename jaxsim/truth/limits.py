"""Under which limits did the engine of a measured row run?  Those stated, else its own by default.

Rows of tables that fits read say nothing of limits, and engines are fitted with what they are
given here: a pass of the engine's default, a tenth of the memory in reserve, and the fit's cap of
sequences.
"""

from dataclasses import replace

from jaxsim.catalog.engine import Serving
from jaxsim.catalog.engine_limits import (
    batched_tokens,
    memory_frac,
    most_sequences,
    of_each_rank,
)
from jaxsim.catalog.known_engines import EngineCard
from jaxsim.traffic.layout import Layout
from jaxsim.truth.read.names import Named
from jaxsim.truth.read.rows import ServingRow


def _ranks(layout: Layout | None) -> float:
    return 1.0 if layout is None else layout.width / layout.tp


def pass_tokens(row: ServingRow, named: Named) -> float:
    """Prompt tokens that a pass of an attention rank holds."""
    own = batched_tokens(named.engine, named.hardware)
    if not row.default_limits:
        return own
    return of_each_rank(named.engine, row.batched_tokens or own, _ranks(row.decode))


def reserve_frac(row: ServingRow, named: Named) -> float | None:
    """The part of the memory that the engine keeps free; None where nothing is known of it."""
    if row.limits.memory_frac is not None:
        return 1.0 - row.limits.memory_frac
    if not row.default_limits or row.decode is None:
        return None
    own = memory_frac(named.engine, named.hardware, row.decode.width, _ranks(row.decode))
    return None if own is None else 1.0 - own


def serving_of(row: ServingRow, named: Named, card: EngineCard) -> Serving:
    """How the engine schedules, with the cap of sequences that it was told, or has by default."""
    if not row.default_limits:
        return card.serving
    stated = row.limits.max_sequences
    if stated is not None:
        most = of_each_rank(named.engine, stated, _ranks(row.decode))
    else:
        most = most_sequences(card.name, named.hardware, float(card.serving.most_sequences))
    return replace(card.serving, most_sequences=most)
