"""Over time: what users see of a deployment under load.

In a steady state: `steps` times the passes of a deployment once, `serving` adds what an engine does
to them, `queueing` the waiting, and `service` puts them together. Request by request: `read` and
`synthetic` make the requests, `simulate` serves them, `policy` changes the pools meanwhile,
`measure` says what users saw. Begin with `service.py`, or with `simulate/run.py`.
"""
