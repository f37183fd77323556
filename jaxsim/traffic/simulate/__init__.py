"""Requests through instances, event by event, exact to the step of every batch.

From `Requests`, laws of step times and instances to the times of every request. `records.py` says
what the state is, `loop.py` what an event is, `batch.py` what happens between two steps of an
instance; `run.py` is where to begin.
"""
