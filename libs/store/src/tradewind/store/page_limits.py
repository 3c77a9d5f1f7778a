"""How many rows one question may bring back."""

from typing import Final

LARGEST_LIMIT: Final = 10_000


def checked_limit(limit: int) -> int:
    """``limit`` itself when it is in range.

    Raises:
        ValueError: below 1 or above LARGEST_LIMIT.
    """
    if not 1 <= limit <= LARGEST_LIMIT:
        raise ValueError(f"limit {limit} is not between 1 and {LARGEST_LIMIT}; ask for several pages")
    return limit
