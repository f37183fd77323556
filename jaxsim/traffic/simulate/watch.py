"""What does the controller see between events, and how is its decision carried out?"""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from jaxsim.traffic.policy.view import Decision, Policy, View, Window
from jaxsim.traffic.read.requests import Requests
from jaxsim.traffic.simulate.capacity import SAMPLE, lengths_of
from jaxsim.traffic.simulate.fleet import Fleet
from jaxsim.traffic.simulate.records import State

RECENT_S = 45.0


class Watch:
    """Keeps what is paid for, what was decided, and how the pools stood at every decision."""

    def __init__(
        self,
        requests: Requests,
        fleet: Fleet,
        roles: np.ndarray,
        opened: np.ndarray,
        limits: dict[int, tuple[int, int]],
        policy: Policy,
        ftl_s: float,
        ttl_s: float,
    ):
        self.requests, self.fleet, self.roles, self.policy = requests, fleet, roles, policy
        self.limits, self.targets = limits, (ftl_s, ttl_s)
        self.paid: dict[int, float] = {int(i): 0.0 for i in np.flatnonzero(opened)}
        self.closed: dict[int, float] = {}
        self.done: list[tuple[int, int, float, float]] = []
        self.changes: list[tuple[float, dict[int, int], str]] = []
        self.rows: list[dict[str, float]] = []
        self.windows: list[Window] = []
        self.converting: list[tuple[int, int]] = []  # a closed instance, and the role awaited
        all_of = lengths_of(requests.isl, requests.osl)
        self.means = Window(1.0, float(requests.isl.mean()), float(requests.osl.mean()), all_of)

    def decide(self, state: State, now: float) -> State:
        """The state with the pools as the policy wants them from now on."""
        self._settle(state)
        one = state.instances
        opened, ready = np.array(one.open), np.array(one.ready_s)
        self._finish_conversions(opened, ready, now)
        view = self._view(state, now, opened, ready)
        decision = self.policy.decide(view)
        changed = self._apply(decision, opened, ready, np.asarray(one.assigned), now)
        if changed:
            self.changes.append((now, dict(decision.counts), decision.reason))
        self._note(view, opened)
        return replace(state, instances=replace(one, open=opened, ready_s=ready))

    def spans(self, end_s: float) -> list[tuple[int, int, float, float]]:
        """Every stretch of time in which an instance was paid for."""
        rest = [(i, int(self.roles[i]), t, end_s) for i, t in self.paid.items() if t < end_s]
        return [*self.done, *rest]

    def series(self) -> dict[str, np.ndarray]:
        """How the pools stood, by decision."""
        names = self.rows[0] if self.rows else {}
        return {name: np.array([row[name] for row in self.rows]) for name in names}

    def _window(self, start: float, stop: float) -> Window:
        first, last = np.searchsorted(self.requests.arrival_s, [start, stop])
        own = slice(int(first), int(last))
        count = int(last - first)
        if not count:
            before = self.windows[-1] if self.windows else self.means
            return Window(0.0, before.isl, before.osl, before.spread)
        seen = slice(max(min(int(first), int(last) - SAMPLE), 0), int(last))
        return Window(
            count / (stop - start),
            float(self.requests.isl[own].mean()),
            float(self.requests.osl[own].mean()),
            lengths_of(self.requests.isl[seen], self.requests.osl[seen]),
        )

    def _view(self, state: State, now: float, open_now: np.ndarray, ready_s: np.ndarray) -> View:
        gap, one, fleet = self.policy.interval_s, state.instances, self.fleet
        self.windows.append(self._window(now - gap, now))
        size, law = len(self.roles), fleet.law
        opened, ready = open_now[:size], ready_s[:size] <= now

        def sums(values: ArrayLike, role: int, chosen: np.ndarray | bool = True):
            return int(np.asarray(values)[:size][(self.roles == role) & chosen].sum())

        # Those that change their role count where they will serve: their GPUs are still there.
        counts = {role: sums(opened, role) for role in fleet.roles}
        for _, role in self.converting:
            counts[role] += 1
        context = np.asarray(one.context)[:size]
        room = {
            role: float(law.blocks[role] * law.block_tokens[role]) * max(counts[role], 1)
            for role in fleet.roles
        }
        ttft, tpot = self._recent(state, now)
        return View(
            time_s=now,
            interval_s=gap,
            windows=self.windows,
            ahead=self._window(now, now + gap),
            counts=counts,
            starting={r: sums(opened & ~ready, r) for r in fleet.roles},
            waiting={r: sums(one.waiting, r) for r in fleet.roles},
            running={r: sums(one.decoding, r) + sums(one.prompts, r) for r in fleet.roles},
            kv_used_frac={r: float(context[self.roles == r].sum()) / room[r] for r in fleet.roles},
            ttft_s=ttft,
            tpot_s=tpot,
            fleet=fleet,
            limits=self.limits,
            ftl_s=self.targets[0],
            ttl_s=self.targets[1],
        )

    def _recent(self, state: State, now: float):
        """Latencies of requests whose first or last token came in the last while."""
        arriving = int(np.asarray(state.arriving))
        early = int(np.searchsorted(self.requests.arrival_s, now - 20.0 * RECENT_S))
        own = slice(early, arriving)
        a = state.attempts
        arrival, first, ended = (np.asarray(v)[own] for v in (a.arrival_s, a.first_s, a.finished_s))
        began = (first > now - RECENT_S) & (first <= now)
        over = (ended > now - RECENT_S) & (ended <= now) & np.isfinite(first)
        steps = np.maximum(np.asarray(a.osl)[own][over] - 1, 1)
        front = self.fleet.fixed_s + self.fleet.token_s * np.asarray(a.isl)[own][began]
        return first[began] - arrival[began] + front, (ended[over] - first[over]) / steps

    def _settle(self, state: State) -> None:
        """Closed instances that have no request left are no longer paid for."""
        one = state.instances
        for i, since in list(self.closed.items()):
            idle = not int(one.assigned[i]) and int(one.send_head[i]) < 0
            if idle:
                last = max(since, float(one.last_s[i]))
                self.done.append((i, int(self.roles[i]), self.paid.pop(i), last))
                del self.closed[i]

    def _finish_conversions(self, opened: np.ndarray, ready: np.ndarray, now: float) -> None:
        """GPUs of instances that have drained become instances of the other role."""
        for i, role in list(self.converting):
            if i in self.closed:
                continue
            self.converting.remove((i, role))
            self._open(role, opened, ready, now, self.fleet.convert_s)

    def _open(
        self, role: int, opened: np.ndarray, ready: np.ndarray, now: float, delay_s: float
    ) -> bool:
        free = [
            int(i) for i in np.flatnonzero(self.roles == role)
            if not opened[i] and int(i) not in self.paid
        ]  # fmt: skip
        if not free:
            return False
        opened[free[0]], ready[free[0]] = True, now + delay_s
        self.paid[free[0]] = now
        return True

    def _apply(
        self,
        decision: Decision,
        opened: np.ndarray,
        ready: np.ndarray,
        assigned: np.ndarray,
        now: float,
    ) -> bool:
        changed = False
        awaited = {role: 0 for role in self.limits}
        for _, role in self.converting:
            awaited[role] += 1
        gone: list[int] = []
        size = len(self.roles)
        wanted = {
            role: min(max(decision.counts.get(role, 0), low), high)
            for role, (low, high) in self.limits.items()
        }
        for role, count in wanted.items():
            have = np.flatnonzero((self.roles == role) & opened[:size])
            spare = len(have) + awaited[role] - count
            # Those still starting first, then the least loaded.
            order = sorted(have, key=lambda i: (ready[i] <= now, assigned[i], -i))
            for i in order[: max(min(spare, len(have) - 1), 0)]:
                opened[i], changed = False, True
                self.closed[int(i)] = now
                gone.append(int(i))
        for role, count in wanted.items():
            short = count - int(opened[:size][self.roles == role].sum()) - awaited[role]
            for _ in range(max(short, 0)):
                if decision.convert:
                    if gone:
                        self.converting.append((gone.pop(0), role))
                        changed = True
                else:
                    changed = self._reopen(role, opened, now) or self._open(
                        role, opened, ready, now, self.fleet.startup_s
                    )
        return changed

    def _reopen(self, role: int, opened: np.ndarray, now: float) -> bool:
        """An instance that is draining takes requests again."""
        for i in list(self.closed):
            if self.roles[i] == role:
                del self.closed[i]
                opened[i] = True
                return True
        return False

    def _note(self, view: View, opened: np.ndarray) -> None:
        size = len(self.roles)
        row = {
            "time_s": view.time_s,
            "requests_per_s": view.windows[-1].requests_per_s,
            "isl": view.windows[-1].isl,
            "osl": view.windows[-1].osl,
        }
        for role in self.fleet.roles:
            row[f"instances_{role}"] = float(opened[:size][self.roles == role].sum())
            row[f"waiting_{role}"] = float(view.waiting[role])
            row[f"running_{role}"] = float(view.running[role])
        self.rows.append(row)
