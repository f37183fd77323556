"""Traffic as it was recorded: traces and request logs.

From a file or a folder to `Requests` (arrival, lengths, prefix blocks). Begin with `files.py`,
which finds the reader of a file; `requests.py` is what all of them return.
"""
