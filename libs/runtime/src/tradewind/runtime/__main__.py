"""``python -m tradewind.runtime``: the command ``tradewind`` where the script is not on the path."""

from tradewind.runtime.cli import main

if __name__ == "__main__":
    main()
