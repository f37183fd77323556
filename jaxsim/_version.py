"""Which version is this, and on what machine does it run?"""

import contextlib
import platform

# Of a tree that was never installed; pyproject.toml has the same.
__version__: str = "0.1.0.dev0"
with contextlib.suppress(ImportError):
    from jaxsim._installed import VERSION  # pyright: ignore[reportMissingImports]

    __version__ = VERSION


def machine() -> str:
    """The kind of system and processor, such as `Linux x86_64`."""
    return f"{platform.system()} {platform.machine()}".strip()
