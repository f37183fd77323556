"""What does every design give for each workload of a mix?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from jaxsim.catalog.errors import InputError
from jaxsim.catalog.setup import Setup
from jaxsim.catalog.workload import Workload
from jaxsim.space.axes import Space, default_space
from jaxsim.space.deploy.mix_result import Share
from jaxsim.space.deploy.request import Question, Swept, sweep_phases
from jaxsim.space.designs import Designs
from jaxsim.space.match.mix import fractions


@dataclass(frozen=True)
class Mixed:
    """The three phases of every workload, over the same designs; shares sum to 1."""

    mix: tuple[Share, ...]
    swept: tuple[Swept, ...]

    @property
    def shares(self) -> np.ndarray:
        return np.array([one.share for one in self.mix])

    @property
    def tokens(self) -> np.ndarray:
        """Gaps between the output tokens of a request, workload by workload."""
        return np.array([one.osl - 1.0 for one in self.mix])

    @property
    def slot_shares(self) -> np.ndarray:
        """Of the decoding requests at any time, those of each workload.

        All requests of a batch gain tokens at the same pace, so they stay for f_k (OSL_k - 1).
        """
        stay = self.shares * self.tokens
        return stay / stay.sum()

    def phase(self, name: str) -> list[Designs]:
        return [getattr(one, name) for one in self.swept]


def sweep_mix(
    setup: Setup,
    question: Question,
    mix: Sequence[Share],
    space: Space | None = None,
    prefill_setup: Setup | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Mixed:
    """Every design of every phase for each workload of a mix.

    The grid is one for all: chunks go up to the longest prompt, and a shorter one takes less.
    """
    if not mix:
        raise InputError("A mix needs at least one workload.")
    longest = max(float(one.isl) for one in mix)
    chunk = default_space(setup.model.model, setup.hardware.hardware, longest).chunk
    space = space or Space()
    space = space if space.chunk else replace(space, chunk=chunk)
    shares = fractions([one.share for one in mix])
    swept = []
    for k, one in enumerate(mix):
        asked = question.workload
        workload = Workload(
            float(one.isl), float(one.osl), asked.hit_frac, asked.draft_tokens,
            asked.accept_frac, asked.imbalance,
        )  # fmt: skip
        prefix = f"workload {k + 1} of {len(mix)}: "

        def said(what: str, prefix: str = prefix) -> None:
            tell(prefix + what)

        own = replace(question, workload=workload)
        try:
            swept.append(sweep_phases(setup, own, space, prefill_setup, said))
        except InputError as error:
            raise InputError(f"ISL {one.isl:,}, OSL {one.osl:,}: {error}") from None
    normal = (replace(one, share=float(f)) for one, f in zip(mix, shares, strict=True))
    return Mixed(tuple(normal), tuple(swept))


def all_hold(designs: list[Designs], name: str) -> np.ndarray:
    """Where a flag holds for every workload, on the flattened grid they share."""
    return np.logical_and.reduce([d.full(name).ravel() for d in designs])


def column(designs: list[Designs], name: str, index: np.ndarray) -> np.ndarray:
    """An output at some designs, one row a workload."""
    return np.stack([d.full(name).ravel()[index] for d in designs]).astype(np.float64)


def values(designs: list[Designs], name: str, index: int) -> np.ndarray:
    """An output of one design, workload by workload."""
    return np.array([d.value(name, index) for d in designs])


def valid_for_all(mixed: Mixed, phase: str) -> np.ndarray:
    """Designs that obey every rule, and whose KV transfer fits the network, for every workload."""
    designs = mixed.phase(phase)
    valid = all_hold(designs, "valid")
    for own in designs:
        if phase == "prefill":
            valid &= own.full("kv_link_frac").ravel() <= 1.0
        else:
            link = float(mixed.swept[0].setup.hardware.hardware.scaleout.bytes_per_s)
            valid &= own.full("kv_ingress_bytes_per_s_per_gpu").ravel() <= link
    return np.flatnonzero(valid)


def stages_of(designs: Designs, index: np.ndarray) -> np.ndarray:
    """Pipeline stages of some designs."""
    where = np.unravel_index(index, designs.shape)[list(designs.axes).index("pp")]
    return np.asarray(designs.axes["pp"], float)[where]
