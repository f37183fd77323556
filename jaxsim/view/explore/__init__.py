"""The report, live: a server on this machine that plans again whenever something is changed.

`server` speaks HTTP and WebSocket and knows no plans; `page` writes the page. From a function that
answers to a running server. Begin with `server.py`.
"""
