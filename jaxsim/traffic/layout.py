"""How are the equal instances of a pool parallelised, and how many are there?"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """How `workers` equal instances of a pool are parallelised; `gpus` is of one instance.

    As everywhere, `tp` is the width of attention and `ep` of experts; attention runs data parallel
    over the rest of `width` GPUs. `note` says how the stated widths were understood, where they
    could not be taken as they stand.
    """

    tp: float
    ep: float
    pp: float = 1.0
    workers: float = 1.0
    note: str = ""

    @property
    def width(self) -> float:
        return max(self.tp, self.ep)

    @property
    def gpus(self) -> float:
        return self.width * self.pp * self.workers
