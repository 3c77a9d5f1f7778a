"""Our side in a process that is killed: ``python fix_sender.py PORT FOLDER VERSION FIRST`` sends orders without end.

It says ``sending NAME`` before each and ``NAME ANSWER`` after it: 0 is taken, else the outcome's name.
"""

import asyncio
import itertools
import sys
from pathlib import Path

from tradewind.venue.adapter import VenueError, VenueUnavailable
from tradewind.venue.fix.session import FixAddress, FixLink
from tradewind.venue.fix_fields import fix_body

ORDER = ((21, "1"), (55, "BTCUSDT"), (54, "1"), (60, "20260101-00:00:00"), (38, "1"), (40, "2"), (44, "10"))


def address(port: int, folder: Path, version: str) -> FixAddress:
    """The session that ``quickfix_acceptor.py`` takes."""
    return FixAddress(
        host="127.0.0.1",
        port=port,
        begin_string=version,
        sender="TRADEWIND",
        target="SIM",
        folder=folder,
        heartbeat_s=1,
    )


async def main() -> None:
    port, folder, version, first = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    link = FixLink(address(port, folder, version))
    while True:
        try:
            await link.open()
            break
        except VenueUnavailable as error:
            print("waiting:", error, flush=True)
    for number in itertools.count(first):
        name = f"o{number}"
        print("sending", name, flush=True)
        try:
            answer = await link.ask(name, fix_body("D", ((11, name), *ORDER)), lambda: None, 5.0, "order")
            said = answer.fields[39]
        except VenueError as error:
            said = type(error).__name__
        print(name, said, flush=True)
        await asyncio.sleep(0.001)


if __name__ == "__main__":
    asyncio.run(main())
