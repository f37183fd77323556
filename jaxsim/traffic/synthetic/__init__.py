"""Traffic that is drawn: arrivals, lengths, day and night, clients of a published day.

From a seed and distributions to `Requests`. Begin with `load.py`.
"""
