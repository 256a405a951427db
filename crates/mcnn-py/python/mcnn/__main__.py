"""The program `mcnn`: `python -m mcnn`."""

import sys

from ._mcnn import run_program


def main() -> int:
    """Runs the program with the arguments of this process and returns its exit code."""
    return run_program(["mcnn", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
