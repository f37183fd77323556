"""`python -m jaxsim`: the command line."""

import sys

from jaxsim.view.cli.main import command

if __name__ == "__main__":
    sys.exit(command())
