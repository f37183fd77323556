"""Where do claims get their frontiers from?  One grid, every case swept once."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar, Unpack, cast

from jaxsim.space.match.frontier import FrontierOptions
from jaxsim.view.study.curves import (
    Curves,
    Gain,
    Matched,
    Pools,
    curves_of,
    gain_of,
    matched_on_ladder,
    pools_of,
)
from jaxsim.view.study.settings import Mixture, Setting, settings
from jaxsim.view.study.sweeps import Case, Count, Sweeper

# Claims share cases within a mixture; the next mixture needs none of the last one's.
T = TypeVar("T")
KEPT_POOLS, KEPT_RESULTS = 24, 400


class Study:
    """Frontiers of any case in any reading, on one grid; what was swept lately is kept."""

    def __init__(self, grid: str):
        self.sweeper = Sweeper(settings().grids[grid])
        self.grid = grid
        self._pools: OrderedDict[Hashable, object] = OrderedDict()
        self._results: OrderedDict[Hashable, object] = OrderedDict()

    @property
    def count(self) -> Count:
        """How many designs have been evaluated."""
        return self.sweeper.count

    def kept(self, key: Hashable, make: Callable[[], T], pools: bool = False) -> T:
        """A result by its key, made if it is not at hand."""
        store, limit = (self._pools, KEPT_POOLS) if pools else (self._results, KEPT_RESULTS)
        if key not in store:
            store[key] = make()
            if len(store) > limit:
                store.popitem(last=False)
        store.move_to_end(key)
        return cast(T, store[key])  # by this key, only `make` has made it

    def forget(self) -> None:
        """Drop every result: the next mixture shares none of them."""
        self._pools.clear()
        self._results.clear()

    def pools(self, case: Case, mixture: Mixture) -> Pools:
        """The prefill and the decode candidates of a case."""
        make = lambda: pools_of(self.sweeper, case, mixture)  # noqa: E731
        return self.kept(("pools", case, mixture), make, pools=True)

    def curves(self, case: Case, mixture: Mixture) -> Curves:
        """All frontiers of a case."""

        def make() -> Curves:
            colocated = self.sweeper.phase("colocated", case, mixture)
            return curves_of(self.pools(case, mixture), colocated, case)

        return self.kept(("curves", case, mixture), make)

    def gain(self, case: Case, setting: Setting) -> Gain:
        """Disaggregated over co-located throughput."""
        return gain_of(self.curves(case, setting.mixture), setting)

    def matched(
        self,
        case: Case,
        setting: Setting,
        ftl_s: float | None = None,
        **options: Unpack[FrontierOptions],
    ) -> Matched:
        """The disaggregated frontier of a case; `options` as of `match_frontier`."""
        cutoff = setting.ftl_s if ftl_s is None else ftl_s
        key = ("matched", case, setting.mixture, cutoff, tuple(sorted(options.items())))

        def make() -> Matched:
            first, second, swept = self.pools(case, setting.mixture)
            ladder = settings().interactivity
            return matched_on_ladder(first, second, swept, case.osl, cutoff, ladder, **options)

        return self.kept(key, make)
