"""`python -m jaxsim`: the command line."""

import sys

from jaxsim.view.cli import command

if __name__ == "__main__":
    sys.exit(command())
