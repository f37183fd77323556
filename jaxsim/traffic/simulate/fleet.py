"""Which instances may serve, and how many requests can one of them serve?"""

from dataclasses import dataclass

import numpy as np

from jaxsim.traffic.simulate.law import RoleLaw, joined, links_of
from jaxsim.traffic.simulate.records import DECODE, MIXED, PREFILL, Law, Links


@dataclass(frozen=True)
class Fleet:
    """Instances by role: their laws, GPUs of one, the links between pools, and front-end time.

    `usd_per_gpu_s` and `power_w` are of a GPU; `startup_s` is from a decision to the first request
    that an instance takes, `convert_s` the same where GPUs of another role's instance are reused.
    """

    law: Law
    links: Links
    gpus: dict[int, float]
    fixed_s: float
    token_s: float
    usd_per_gpu_s: float = 0.0
    power_w: float = 0.0
    startup_s: float = 120.0
    convert_s: float = 30.0

    @property
    def roles(self) -> tuple[int, ...]:
        """The roles that have instances."""
        return tuple(self.gpus)

    def capacity(self, role: int, isl: float, osl: float, ttl_s: float = np.inf) -> float:
        """Requests/s of one busy instance at these mean lengths, its steps within a target."""
        law = self.law
        if role == PREFILL:
            return 1.0 / self._prompt_s(role, isl)
        size, step_s = self._batch(role, isl, osl, ttl_s)
        steps = np.maximum(osl - 1.0, 1.0) / float(law.gain[role])
        each_s = steps * step_s / size
        if role == MIXED:
            each_s = each_s + float(law.stall[role]) * self._prompt_s(role, isl)
        return float(1.0 / each_s)

    def _prompt_s(self, role: int, isl: float) -> float:
        """Seconds of an instance that one prompt takes, in full passes."""
        law = self.law
        chunk, ranks = float(law.chunk[role]), float(law.ranks[role])
        tokens = law.pass_tokens[role]
        base = np.interp(chunk, tokens, law.pass_s[role])
        slope = np.interp(chunk, tokens, law.pass_slope[role])
        pass_s = (base + slope * 0.5 * chunk * isl) * float(law.stretch[role])
        return float(pass_s * isl / (chunk * ranks))

    def _batch(self, role: int, isl: float, osl: float, ttl_s: float) -> tuple[float, float]:
        """The most sequences whose steps meet a target and whose caches fit, and their step."""
        law = self.law
        context = isl + 0.5 * osl
        piece = max(int((law.knots[role] <= context).sum()) - 1, 0)
        most = min(
            float(law.sequences[role]),
            float(law.blocks[role] * law.block_tokens[role]) / (isl + osl),
        )
        count = np.arange(1, max(int(most), 1) + 1)
        step = law.decode_s[role][count, piece] + law.decode_slope[role][count, piece] * (
            count * context
        )
        if role == MIXED:  # prompts of those that follow come between
            passes = float(law.stall[role]) * self._prompt_s(role, isl)
            within = step + count * passes / np.maximum(osl - 1.0, 1.0) * float(law.gain[role])
        else:
            within = step
        fits = np.flatnonzero(within <= ttl_s * float(law.gain[role]))
        last = int(fits[-1]) if len(fits) else 0
        return float(count[last]), float(step[last])


def fleet_of(
    mixed: RoleLaw | None, prefill: RoleLaw | None, decode: RoleLaw | None, **rest
) -> Fleet:
    """One fleet: either mixed instances, or prefill and decode ones. `rest` goes to `Fleet`."""
    links = rest.pop("links", None)
    if mixed is not None:
        one = mixed
        gpus = {MIXED: mixed.gpus}
        links = links or links_of(mixed, mixed)
        law = joined((mixed.law, mixed.law, mixed.law))
    else:
        assert prefill is not None
        assert decode is not None
        one = prefill
        gpus = {PREFILL: prefill.gpus, DECODE: decode.gpus}
        links = links or links_of(prefill, decode)
        law = joined((prefill.law, prefill.law, decode.law))
    return Fleet(law, links, gpus, one.fixed_s, one.token_s, **rest)
