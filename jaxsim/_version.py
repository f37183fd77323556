"""Which version is this, and on what machine does it run?"""

import platform

__version__ = "0.1.0"


def machine() -> str:
    """The kind of system and processor, such as `Linux x86_64`."""
    return f"{platform.system()} {platform.machine()}".strip()
