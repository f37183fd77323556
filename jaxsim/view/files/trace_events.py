"""A simulated run as Chrome trace events: one row an instance, one span a phase of a request."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxsim.view.files.atomic import replace_text

if TYPE_CHECKING:
    from jaxsim.traffic.simulate.run import Run

MICRO = 1e6
MOST_EVENTS = 500_000
NAMES = {0: "co-located", 1: "prefill", 2: "decode"}


def trace_events(run: "Run") -> dict[str, object]:
    """The object that Perfetto and chrome://tracing open; times in microseconds.

    A process is an instance, a track a lane of it; of a long run, the first half million spans.
    """
    a, count = run.state.attempts, run.count
    events: list[dict[str, object]] = [
        {
            "ph": "M", "name": "process_name", "pid": int(i), "tid": 0,
            "args": {"name": f"{NAMES[int(role)]} {i}"},
        }
        for i, role in enumerate(run.state.instances.role)
        if any(span[0] == i for span in run.spans)
    ]  # fmt: skip
    lanes: dict[int, list[float]] = {}

    def add(name: str, instance: int, start: float, stop: float, request: int) -> None:
        if instance < 0 or not (np.isfinite(start) and np.isfinite(stop)) or stop < start:
            return
        ends = lanes.setdefault(int(instance), [])
        lane = next((k for k, end in enumerate(ends) if end <= start), len(ends))
        ends[lane : lane + 1] = [stop]
        events.append(
            {
                "ph": "X", "name": name, "cat": "request", "pid": int(instance), "tid": lane + 1,
                "ts": float(start) * MICRO, "dur": float(stop - start) * MICRO,
                "args": {
                    "request": int(request), "isl": int(a.isl[request]), "osl": int(a.osl[request]),
                },
            }
        )  # fmt: skip

    spans = []
    for r in range(count):
        decoder = a.decoder[r] if a.decoder[r] >= 0 else a.prefiller[r]
        spans.append(("waiting", a.prefiller[r], a.arrival_s[r], a.scheduled_s[r], r))
        spans.append(("prefill", a.prefiller[r], a.scheduled_s[r], a.passed_s[r], r))
        if a.decoder[r] >= 0:
            spans.append(("KV transfer", a.prefiller[r], a.passed_s[r], a.sent_s[r], r))
        spans.append(("decode", decoder, a.joined_s[r], a.finished_s[r], r))
        if len(spans) >= MOST_EVENTS:
            break
    for name, instance, start, stop, request in sorted(spans, key=lambda one: one[2]):
        add(name, int(instance), float(start), float(stop), int(request))
    for change in run.changes:
        events.append(
            {
                "ph": "i", "s": "g", "name": change.reason, "pid": 0, "tid": 0,
                "ts": change.time_s * MICRO,
            }
        )  # fmt: skip
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def write_trace_events(path: Path, run: "Run") -> None:
    """Write it, whole or not at all."""
    replace_text(path, json.dumps(trace_events(run), allow_nan=False))
