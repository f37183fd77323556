"""`python -m jaxsim`, and `jaxsim`: the command line."""

import signal
import sys


def command() -> int:
    """Run the command line; stopped while it is being imported, the process just ends."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from jaxsim.view.cli.process import command as run

    return run()


if __name__ == "__main__":
    sys.exit(command())
