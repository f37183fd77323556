"""How many requests a second can one busy instance serve, at these lengths?

Mean lengths are not enough: pairs that attend grow with the square of a prompt, a pass of several
data-parallel ranks lasts as long as its longest piece, and long outputs decode longer.
"""

from dataclasses import dataclass

import numpy as np

from jaxsim.traffic.simulate.records import MIXED, PREFILL, Law

SAMPLE = 4096  # requests that stand for all
LEVELS = 16  # batches of which the time of a co-located pass is worked out


@dataclass(frozen=True)
class Lengths:
    """Input and output tokens of some requests that stand for all."""

    isl: np.ndarray
    osl: np.ndarray

    def at_means(self, isl: float, osl: float) -> "Lengths":
        """The same spread about other means."""
        return Lengths(
            np.maximum(self.isl * (isl / self.isl.mean()), 1.0),
            np.maximum(self.osl * (osl / self.osl.mean()), 1.0),
        )


def lengths_of(isl: np.ndarray, osl: np.ndarray) -> Lengths:
    """At most `SAMPLE` of the requests, evenly picked."""
    step = max(len(isl) // SAMPLE, 1)
    return Lengths(np.asarray(isl[::step], float), np.asarray(osl[::step], float))


def requests_per_s(law: Law, role: int, lengths: Lengths, ttl_s: float = np.inf) -> float:
    r"""Requests/s of one instance with a queue that never empties, its steps within a target.

    A prefill instance takes $\overline{ISL}/(c\,r)$ passes of chunk c and r ranks for a prompt; a
    decode instance $(\overline{OSL} - 1)\,t(n)/(g\,n)$ s with n sequences; a co-located one both.
    """
    if role == PREFILL:
        full = float(law.chunk[role]) * float(law.ranks[role])
        return 1.0 / prompt_s(law, role, lengths, full)
    size, step_s, passes_s = batch_of(law, role, lengths, ttl_s)
    return float(1.0 / (steps_of(law, role, lengths) * step_s / size + passes_s))


def steps_of(law: Law, role: int, lengths: Lengths) -> float:
    """Decode steps of a mean request, at least one."""
    return max(float((lengths.osl - 1.0).mean()) / float(law.gain[role]), 1.0)


def pieces_of(lengths: Lengths, chunk: float) -> tuple[np.ndarray, np.ndarray]:
    """What one pass holds of one prompt, for every pass of every prompt: tokens, and pairs."""
    count = np.ceil(lengths.isl / chunk).astype(int)
    first = np.repeat(np.cumsum(count) - count, count)
    past = (np.arange(count.sum()) - first) * chunk
    tokens = np.minimum(np.repeat(lengths.isl, count) - past, chunk)
    return tokens, tokens * (past + 0.5 * tokens)


def prompt_s(law: Law, role: int, lengths: Lengths, tokens_per_pass: float) -> float:
    r"""Seconds of an instance that one prompt takes, in passes over `tokens_per_pass` tokens.

    A pass holds m pieces of prompts, drawn at random. With $F_i$ the share of pieces that have at
    most $a_i$ pairs of tokens, the largest of m has $\sum_i a_i\,(F_i^m - F_{i-1}^m)$ pairs in the
    mean. The slowest rank has that many pairs, or the mean of a rank where that is more.
    """
    return prompts_s(law, role, lengths, np.array([tokens_per_pass]), np.zeros(1))[0]


def prompts_s(
    law: Law, role: int, lengths: Lengths, tokens_per_pass: np.ndarray, decoded: np.ndarray
) -> list[float]:
    """The same for passes of several sizes, in one step with so many tokens that are decoded."""
    ranks = float(law.ranks[role])
    tokens, pairs = pieces_of(lengths, float(law.chunk[role]))
    mean, mean_pairs = float(tokens.mean()), float(pairs.mean())
    order, count = np.unique(pairs, return_counts=True)  # whole prompts of one length are alike
    below = np.concatenate([[0.0], np.cumsum(count)]) / len(pairs)
    ladder, times, slopes = (
        np.asarray(table)[role] for table in (law.pass_tokens, law.pass_s, law.pass_slope)
    )
    each: list[float] = []
    shares = np.where(law.mixes[role] > 0.5, decoded / ranks, 0.0)
    for prompts_per_pass, own_share in zip(
        np.maximum(tokens_per_pass / mean, 1.0), shares, strict=True
    ):
        longest = float(order @ np.diff(below**prompts_per_pass))
        own = max(longest, prompts_per_pass * mean_pairs / ranks)
        size = max(prompts_per_pass * mean / ranks, mean) + own_share
        base, slope = _between(size, ladder, times), _between(size, ladder, slopes)
        shared_s = _between(own_share, ladder, times) if own_share > 0.0 else 0.0
        pass_s = float(law.stretch[role]) * (base + slope * own - shared_s)
        each.append(float(pass_s * lengths.isl.mean() / (prompts_per_pass * mean)))
    return each


def _between(size: float, ladder: np.ndarray, values: np.ndarray) -> float:
    """Linear between the knots, and beyond the last: a chunk and what is decoded with it."""
    low = int(np.clip(np.searchsorted(ladder, size, side="right") - 1, 0, len(ladder) - 2))
    share = (size - ladder[low]) / (ladder[low + 1] - ladder[low])
    return float(values[low] + share * (values[low + 1] - values[low]))


def batch_of(law: Law, role: int, lengths: Lengths, ttl_s: float) -> tuple[float, float, float]:
    """The most sequences that meet a TTL target and fit in memory, their step, passes a request.

    A request stays in the batch in proportion to its output length, so the mean context weighs each
    request with its output. Passes are 0 unless prompts are processed by the same instance.
    """
    stay = lengths.osl / lengths.osl.sum()
    context = float(stay @ (lengths.isl + 0.5 * lengths.osl))
    room = float(law.blocks[role] * law.block_tokens[role])
    held = float(stay @ (lengths.isl + lengths.osl)) if law.reserves[role] > 0.5 else context
    most = max(int(min(float(law.sequences[role]), room / held)), 1)
    count = np.arange(1, most + 1)
    piece = max(int((law.knots[role] <= context).sum()) - 1, 0)
    fixed_s, slope = (np.asarray(v[role])[count, piece] for v in (law.decode_s, law.decode_slope))
    step_s = fixed_s + slope * (count * context)
    steps, gain = steps_of(law, role, lengths), float(law.gain[role])
    if role != MIXED:
        last = _last(step_s <= ttl_s * gain)
        return float(count[last]), float(step_s[last]), 0.0
    # As many join in a step as leave, so a pass holds as many prompts, but never a part of one.
    joining = np.maximum(count / steps, 1.0)
    mean = float(lengths.isl.mean())
    full = float(law.chunk[role]) * float(law.ranks[role])
    sizes = np.minimum(joining * mean, full)
    levels = np.unique(np.geomspace(1, most, LEVELS).astype(int))
    ladder = prompts_s(law, role, lengths, sizes[levels - 1], levels * 1.0)
    passes_s = np.interp(count, levels, ladder)
    last = _last(step_s + count * passes_s / steps <= ttl_s * gain)
    return float(count[last]), float(step_s[last]), float(passes_s[last])


def _last(fits: np.ndarray) -> int:
    """The last place that fits; the first where none does."""
    places = np.flatnonzero(fits)
    return int(places[-1]) if len(places) else 0
