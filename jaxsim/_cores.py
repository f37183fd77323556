"""How many processor cores may this process use?"""

import os


def cores() -> int:
    """Those it is bound to, where the system says so; else all of the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
