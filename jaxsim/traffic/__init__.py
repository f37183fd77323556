"""Over time: what users see of a deployment under load.

`steps` times the passes of a deployment once, `serving` adds what an engine does to them,
`queueing` the waiting, `service` puts them together for a concurrency or a rate. From a set-up and
pools to latencies and rates. Begin with `service.py`.
"""
