"""How do the rates of a prefill pool and a decode pool balance?

The study's Algorithms 1 and 2 in their conservation form, and the identities that every matched
point obeys. Arrays in, arrays out; nothing here knows a model or a chip.
"""

from dataclasses import dataclass

import numpy as np

from jaxsim._scalar import Numbers
from jaxsim.catalog.errors import InputError

STUDY_TOLERANCE = 0.03  # Algorithm 2 of the study lets the two rates differ by 3 %

_ROUNDING = 1e-12  # two rates nearer than this are equal: double precision, a few operations


def prefill_requests_per_s(batch: Numbers, ftl_s: Numbers) -> Numbers:
    """Prompts/s of one prefill instance: B / FTL, `batch` prompts in flight together."""
    return batch / ftl_s


def decode_requests_per_s(batch: Numbers, ttl_s: Numbers, osl: Numbers) -> Numbers:
    """Requests/s that one decode instance completes: B / (TTL · (OSL − 1)).

    The first token comes from prefill, so decode owes OSL − 1.
    """
    return batch / (ttl_s * (osl - 1))


def matched_tokens_per_s_per_gpu(
    prefill_per_gpu: Numbers, decode_per_gpu: Numbers, osl: Numbers
) -> Numbers:
    """Output tokens/s/GPU at perfect balance: (OSL − 1) · P · D / (P + D).

    P and D are requests/s/GPU of each pool; the ratio of GPUs is then D / P.
    """
    return (osl - 1) * prefill_per_gpu * decode_per_gpu / (prefill_per_gpu + decode_per_gpu)


def matched_ctx_gen_ratio(prefill_per_gpu: Numbers, decode_per_gpu: Numbers) -> Numbers:
    """Prefill GPUs / decode GPUs at perfect balance: D / P."""
    return decode_per_gpu / prefill_per_gpu


def fixed_ratio_tokens_per_s_per_gpu(
    prefill_per_gpu: Numbers, decode_per_gpu: Numbers, osl: Numbers, ratio: Numbers
) -> Numbers:
    """Output tokens/s/GPU with `ratio` prefill GPUs per decode GPU.

    (OSL − 1) · min(P · ρ, D) / (1 + ρ): the slower pool decides, both are paid.
    """
    supply = np.minimum(np.asarray(prefill_per_gpu) * ratio, decode_per_gpu)
    return (osl - 1) * supply / (1.0 + ratio)


def simplest_fraction(low: Numbers, high: Numbers) -> tuple[np.ndarray, np.ndarray]:
    """Numerator and denominator of the simplest fraction in each closed interval [low, high].

    Simplest is smallest in the Stern–Brocot tree: no other fraction of the interval has a smaller
    denominator, and none a smaller numerator, so none needs fewer GPUs. Continued fraction of
    both ends as far as they agree. Needs 0 < low <= high.
    """
    low, high = np.broadcast_arrays(np.asarray(low, float), np.asarray(high, float))
    if not (np.all(low > 0) and np.all(high >= low) and np.all(np.isfinite(low))):
        raise InputError("simplest_fraction needs intervals with 0 < low <= high, low finite.")
    shape, low, high = low.shape, low.ravel(), high.ravel()
    # Matrices of the continued fraction so far: value = (p·t + p0) / (q·t + q0), t the tail.
    p, p0 = np.ones(low.size), np.zeros(low.size)
    q, q0 = np.zeros(low.size), np.ones(low.size)
    numerator, denominator = np.zeros(low.size), np.zeros(low.size)
    live = np.arange(low.size)
    while live.size:
        whole = np.ceil(low[live])
        ends = whole <= high[live]
        done, left = live[ends], live[~ends]
        numerator[done] = p[done] * whole[ends] + p0[done]
        denominator[done] = q[done] * whole[ends] + q0[done]
        floor = np.floor(low[left])
        p[left], p0[left] = p[left] * floor + p0[left], p[left]
        q[left], q0[left] = q[left] * floor + q0[left], q[left]
        low[left], high[left] = 1.0 / (high[left] - floor), 1.0 / (low[left] - floor)
        live = left
    whole_numbers = np.int64
    return (
        numerator.reshape(shape).astype(whole_numbers),
        denominator.reshape(shape).astype(whole_numbers),
    )


def counts_within(ratio: Numbers, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Smallest integers n_p, n_d with |n_p / n_d − ratio| / ratio <= tolerance, element by element.

    Ends of the interval count as inside, to rounding.
    """
    if not 0.0 < tolerance < 1.0:
        raise InputError(
            f"A tolerance of {tolerance} was given; it must lie strictly between 0 and 1, since"
            f" integers meet a real ratio only approximately (the study uses {STUDY_TOLERANCE})."
        )
    ratio = np.asarray(ratio, float)
    slack = tolerance + _ROUNDING
    return simplest_fraction(ratio * (1.0 - slack), ratio * (1.0 + slack))


def algorithm1(batch: Numbers, gpus: Numbers, ftl_s: Numbers, ftl_cutoff_s: float) -> int | None:
    """Index of the prefill configuration of the study's Algorithm 1, or None if none is in time.

    Among those with FTL below the cutoff, the largest B / (FTL · G), requests/s/GPU. Ties go to
    the fewest GPUs, then the lowest FTL, then the first.
    """
    batch, gpus, ftl_s = (np.asarray(a, float) for a in (batch, gpus, ftl_s))
    per_gpu = np.where(ftl_s <= ftl_cutoff_s, prefill_requests_per_s(batch, ftl_s) / gpus, -np.inf)
    if not per_gpu.size or per_gpu.max() <= 0.0:
        return None
    return int(np.lexsort((ftl_s, gpus, -per_gpu))[0])


@dataclass(frozen=True)
class RateMatch:
    """What Algorithm 2 says of each decode configuration; arrays of equal length.

    Where `met` is false (TTL above the target), counts and throughput are zero.
    """

    met: np.ndarray
    prefill_instances: np.ndarray
    decode_instances: np.ndarray
    requests_per_s: np.ndarray
    output_tokens_per_s_per_gpu: np.ndarray
    ctx_gen_ratio: np.ndarray


def algorithm2(
    prefill_requests: float,
    prefill_gpus: float,
    batch: Numbers,
    gpus: Numbers,
    ttl_s: Numbers,
    osl: float,
    ttl_target_s: float = np.inf,
    tolerance: float = STUDY_TOLERANCE,
) -> RateMatch:
    """The study's Algorithm 2: match every decode configuration to one prefill configuration.

    With r = decode rate / prefill rate (prefill instances per decode instance), n_p / n_d is the
    simplest fraction within `tolerance` of r; then

        requests/s      = min(n_p · prefill rate, n_d · decode rate)
        tokens/s/GPU    = requests/s · (OSL − 1) / (n_p · G_p + n_d · G_d)

    The minimum stays because rounding leaves an imbalance.
    """
    batch, gpus, ttl_s = (np.asarray(a, float) for a in (batch, gpus, ttl_s))
    met = (ttl_s <= ttl_target_s) & (ttl_s > 0) & (batch > 0)
    rate = decode_requests_per_s(np.where(met, batch, 1.0), np.where(met, ttl_s, 1.0), osl)
    n_p, n_d = counts_within(rate / prefill_requests, tolerance)
    requests = np.minimum(n_p * prefill_requests, n_d * rate)
    total = n_p * prefill_gpus + n_d * gpus
    return RateMatch(
        met=met,
        prefill_instances=np.where(met, n_p, 0),
        decode_instances=np.where(met, n_d, 0),
        requests_per_s=np.where(met, requests, 0.0),
        output_tokens_per_s_per_gpu=np.where(met, requests * (osl - 1) / total, 0.0),
        ctx_gen_ratio=np.where(met, n_p * prefill_gpus / (n_d * gpus), 0.0),
    )
