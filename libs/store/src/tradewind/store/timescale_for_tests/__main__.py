"""``python -m tradewind.store.timescale_for_tests install`` makes the server ready for use."""

import sys

from tradewind.store.timescale_for_tests import TimescaleMissing, install


def main(arguments: list[str]) -> int:
    """Install; returns the exit status."""
    if arguments != ["install"]:
        print("usage: python -m tradewind.store.timescale_for_tests install", file=sys.stderr)
        return 2
    try:
        print(f"TimescaleDB for tests is in {install()}")
    except TimescaleMissing as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
