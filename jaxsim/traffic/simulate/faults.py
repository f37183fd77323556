"""What happens when instances die, and when they return?

Between two events the state is changed from outside: all that an instance held is lost, and its
requests arrive anew once that is noticed, to be served from the start, or from where they were.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeAlias

import numpy as np

from jaxsim.catalog.errors import InputError
from jaxsim.traffic.simulate.records import (
    FAILED,
    FAR,
    NEVER,
    Attempts,
    Cache,
    Instances,
    Slots,
    State,
)

Table: TypeAlias = dict[str, np.ndarray]
RESUMES = ("restart", "recompute", "kv")
# Numbers of an instance that has nothing to do.
_NOTHING = {
    "until_s": NEVER, "send_s": NEVER, "head": -1, "tail": -1, "pass_head": -1, "pass_tail": -1,
    "send_head": -1, "send_tail": -1, **dict.fromkeys((
        "steps", "advance", "decoding", "context", "prompts", "prompt_blocks", "held_blocks",
        "waiting", "assigned", "reserved", "work", "passing_s", "extra_s", "pause_s"), 0),
}  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """`count` open instances of a role (0 co-located, 1 prefill, 2 decode) die at a time.

    They return `repair_s` later, empty, and serve after their start-up. A node or a domain that
    dies is several faults at one time. What was lost is noticed after `notice_s`.
    """

    time_s: float
    role: int
    count: int = 1
    repair_s: float = 600.0
    notice_s: float = 5.0

    def __post_init__(self) -> None:
        times = {"time": self.time_s, "repair": self.repair_s, "notice": self.notice_s}
        for what, value in times.items():
            if not (value >= 0.0 and (np.isfinite(value) or what == "repair")):
                raise InputError(f"a fault's {what} of {value:g} s: 0 or more is needed.")
        if self.count < 1:
            raise InputError(f"a fault of {self.count} instances: at least 1 dies.")


def schedule(faults: Sequence[Fault]) -> list[tuple[float, Fault, bool]]:
    """Deaths and returns in the order of time; the return says True."""
    deaths = [(one.time_s, one, False) for one in faults]
    returns = [(t, one, True) for one in faults if np.isfinite(t := one.time_s + one.repair_s)]
    return sorted([*deaths, *returns], key=lambda event: (event[0], event[2]))


def die(state: State, fault: Fault, gain: float, resume: str) -> tuple[State, list[int]]:
    """The state once instances have died, and which they are."""
    one = table_of(state.instances)
    chosen = np.flatnonzero((one["role"] == fault.role) & one["open"])[: fault.count].tolist()
    attempts = table_of(state.attempts)
    slots = table_of(state.slots)
    cache = table_of(state.cache)
    victims: list[tuple[int, int, int]] = []  # attempt, context held, decode steps left
    for place in chosen:
        victims += _held(one, attempts, slots, place, gain, fault.time_s)
        one["open"][place] = False
    for place in chosen:
        _forget(one, attempts, slots, cache, place)
    end = int(np.asarray(state.retries_end))
    if end + len(victims) > len(attempts["isl"]) - 1:
        raise InputError("more requests are lost by faults than there were in all; use fewer.")
    for attempt, context, left in sorted(victims):
        _again(attempts, attempt, end, fault.time_s + fault.notice_s, context, left, resume)
        end += 1
    return (
        replace(
            state,
            instances=replace(state.instances, **one),
            attempts=replace(state.attempts, **attempts),
            slots=replace(state.slots, **slots),
            cache=replace(state.cache, **cache),
            retries_end=np.int32(end),
        ),
        chosen,
    )


def revive(state: State, places: Sequence[int], ready_s: float) -> State:
    """The state with instances back, empty; what waits for them is seen when they are ready."""
    one = {name: np.array(getattr(state.instances, name)) for name in (
        "open", "ready_s", "until_s", "since_s", "head")}  # fmt: skip
    for place in places:
        one["open"][place] = True
        one["ready_s"][place] = ready_s
        if one["head"][place] >= 0:
            one["until_s"][place] = one["since_s"][place] = ready_s
    return replace(state, instances=replace(state.instances, **one))


def table_of(record: Attempts | Instances | Slots | Cache) -> Table:
    """The fields of a record by name, as arrays that can be written."""
    return {one.name: np.array(getattr(record, one.name)) for one in fields(record)}


def _list(attempts: Table, head: int) -> list[int]:
    """The attempts of a linked list."""
    listed = []
    while head >= 0:
        listed.append(head)
        head = int(attempts["next"][head])
    return listed


def _held(
    one: Table, attempts: Table, slots: Table, place: int,
    gain: float, now_s: float,
) -> list[tuple[int, int, int]]:  # fmt: skip
    """Every attempt that an instance holds: its context, and decode steps left; 0 of prompts."""
    holding: list[tuple[int, int, int]] = []
    for name in ("head", "pass_head"):
        for attempt in _list(attempts, int(one[name][place])):
            # In a decode queue the prompt is done, and its cache is lost.
            done = attempts["need"][attempt] == 0
            context, left = int(attempts["size"][attempt]), int(attempts["left"][attempt])
            holding.append((attempt, context if done else 0, left if done else 0))
    for attempt in _list(attempts, int(one["send_head"][place])):
        one["assigned"][attempts["decoder"][attempt]] -= 1
        holding.append((attempt, int(attempts["size"][attempt]), int(attempts["left"][attempt])))
    steps = int(one["step"][place]) + _steps_done(one, place, now_s)
    for slot in range(int(one["decoding"][place])):
        attempt = int(slots["attempt"][place, slot])
        context = int(np.ceil(slots["base"][place, slot] + gain * steps))
        holding.append((attempt, context, max(int(slots["end"][place, slot]) - steps, 1)))
    gone = attempts["status"]
    return [entry for entry in holding if gone[entry[0]] == 0]


def _steps_done(one: Table, place: int, now_s: float) -> int:
    """Whole steps of the macro-step under way that have ended."""
    steps = int(one["advance"][place])
    if not steps or one["passing_s"][place] > 0.0:
        return 0
    count = np.arange(1, steps + 1, dtype=float)
    more = 0.5 * one["more_s"][place] * count * (count - 1.0)
    ends_s = one["since_s"][place] + count * one["first_s"][place] + more
    return int(np.searchsorted(ends_s, now_s, side="right"))


def _forget(
    one: Table, attempts: Table, slots: Table,
    cache: Table, place: int,
) -> None:  # fmt: skip
    """Nothing is left in an instance; caches that were being sent to it go to another."""
    for name, value in _NOTHING.items():
        one[name][place] = value
    one["ready_s"][place] = NEVER
    empty = {"attempt": -1, "end": FAR, "base": 0, "stamp": 0, "reserved": 0, "soonest": FAR}
    for name, value in {**empty, "phase": 0}.items():
        slots[name][place] = value
    cache["hbm_tail"][place] = cache["host_tail"][place] = cache["stamp"][place] - 1
    for name in ("hbm_count", "host_count", "shared", "users", "last"):
        cache[name][place] = 0
    others = np.flatnonzero((one["role"] == one["role"][place]) & one["open"])
    if not len(others):
        return
    for sender in np.flatnonzero(one["send_head"] >= 0):
        for attempt in _list(attempts, int(one["send_head"][sender])):
            if attempts["decoder"][attempt] == place:
                other = int(others[np.argmin(one["assigned"][others])])
                attempts["decoder"][attempt] = other
                one["assigned"][other] += 1


def _again(
    attempts: Table, attempt: int, place: int, arrival_s: float, context: int, left: int,
    resume: str,
) -> None:  # fmt: skip
    """A new attempt in place of a lost one, from the start or from where it was."""
    keeps = resume != "restart" and left > 0
    size = context + 1 if keeps else int(attempts["isl"][attempt])
    left = left - 1 if keeps else int(attempts["steps_left"][attempt])
    values = {
        "arrival_s": arrival_s,
        "isl": size,
        "osl": attempts["osl"][attempt],
        "size": size,
        "need": size,
        "rest": 1 if keeps and resume == "kv" else size,
        "past": size - 1 if keeps and resume == "kv" else 0,
        "left": left,
        "steps_left": left,
        "origin": attempts["origin"][attempt],
        "tries": attempts["tries"][attempt] + 1,
        "first_s": attempts["first_s"][attempt] if keeps else NEVER,
    }
    for name, value in values.items():
        attempts[name][place] = value
    attempts["status"][attempt] = FAILED
    attempts["finished_s"][attempt] = arrival_s


def recovery_s(
    arrival_s: np.ndarray, good: np.ndarray, fault_s: float, bin_s: float = 10.0
) -> float:
    """Seconds from a fault until requests are served as well as before it.

    Arrivals are taken in bins of `bin_s`. A bin is worse if the fraction of its requests within
    targets is below 90 % of that before the fault; the end of the last such bin counts. Infinite
    where the last bin is worse.
    """
    before = good[arrival_s < fault_s]
    usual = float(before.mean()) if len(before) else 1.0
    after = arrival_s >= fault_s
    place = ((arrival_s[after] - fault_s) // bin_s).astype(int)
    total = np.bincount(place)
    own = np.bincount(place, weights=good[after])
    bad = np.flatnonzero((total > 0) & (own < 0.9 * usual * total))
    if not len(bad):
        return 0.0
    return float("inf") if bad[-1] == len(total) - 1 else float((bad[-1] + 1) * bin_s)
