"""What every adapter must prove, for tests here and in the repository of an adapter that somebody else writes.

Write a ``MarketDataCounterpart`` (a venue on loopback that can be told what to do) and, in a test file,

    @pytest.mark.parametrize("check", MARKET_DATA_CHECKS, ids=lambda check: check.__name__)
    async def test_market_data_conforms(check: MarketDataCheck) -> None:
        await run_check(check, MyVenue)

with pytest and pytest-asyncio. Orders: ``ExecutionCounterpart`` and ``EXECUTION_CHECKS``, the same way. A check is an
``async`` function that raises ``NotConforming`` with a sentence.
"""

from tradewind.venue.conformance.breakable_link import BreakableLink
from tradewind.venue.conformance.checking import NotConforming, run_check
from tradewind.venue.conformance.execution import EXECUTION_CHECKS, ExecutionCheck
from tradewind.venue.conformance.execution_counterpart import ExecutionCounterpart
from tradewind.venue.conformance.feed_recorder import FeedRecorder, running
from tradewind.venue.conformance.market_data import MARKET_DATA_CHECKS, MarketDataCheck
from tradewind.venue.conformance.market_data_counterpart import MarketDataCounterpart
from tradewind.venue.conformance.simulated_book import SimulatedBook

__all__ = [
    "EXECUTION_CHECKS",
    "MARKET_DATA_CHECKS",
    "BreakableLink",
    "ExecutionCheck",
    "ExecutionCounterpart",
    "FeedRecorder",
    "MarketDataCheck",
    "MarketDataCounterpart",
    "NotConforming",
    "SimulatedBook",
    "run_check",
    "running",
]
