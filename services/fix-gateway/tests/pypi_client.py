"""A client on the PyPI ``quickfix``, in a process of its own: ``python pypi_client.py PORT FOLDER DICTIONARY``.

It logs on, sends one order that rests, one that is filled, cancels the first, and prints a line for each report.
"""

import sys
import time
from pathlib import Path
from typing import Any

import quickfix as fix

SETTINGS = """[DEFAULT]
ConnectionType=initiator
StartTime=00:00:00
EndTime=00:00:00
FileStorePath={folder}
FileLogPath={folder}
ReconnectInterval=1
UseDataDictionary=Y
DataDictionary={dictionary}
[SESSION]
BeginString=FIX.4.4
SenderCompID=ACME
TargetCompID=TRADEWIND
HeartBtInt=5
SocketConnectHost=127.0.0.1
SocketConnectPort={port}
"""


class Client(fix.Application):  # type: ignore[misc]
    """The client's side."""

    def onCreate(self, session: Any) -> None:
        self.session = session

    def onLogon(self, session: Any) -> None:
        send(session, "D", [(11, "rests"), (38, "0.001"), (40, "2"), (44, "30000"), (59, "1")])
        send(session, "D", [(11, "takes"), (38, "0.001"), (40, "2"), (44, "90000"), (59, "1")])

    def onLogout(self, session: Any) -> None:
        pass

    def toAdmin(self, message: Any, session: Any) -> None:
        if message.getHeader().getField(35) == "A":
            message.setField(553, "ACME")
            message.setField(554, "a-good-password")

    def fromAdmin(self, message: Any, session: Any) -> None:
        pass

    def toApp(self, message: Any, session: Any) -> None:
        pass

    def fromApp(self, message: Any, session: Any) -> None:
        print(message.getField(11), message.getField(150), message.getField(39), flush=True)
        if (message.getField(11), message.getField(150)) == ("rests", "0"):
            send(session, "F", [(41, "rests"), (11, "gone"), (38, "0.001")])


def send(session: Any, kind: str, fields: list[tuple[int, str]]) -> None:
    """Send a message of these fields, and those that all have."""
    message = fix.Message()
    message.getHeader().setField(35, kind)
    for tag, value in [*fields, (55, "BTCUSDT"), (54, "1")]:
        message.setField(tag, value)
    message.setField(60, time.strftime("%Y%m%d-%H:%M:%S", time.gmtime()))
    fix.Session.sendToTarget(message, session)


def main(port: str, folder: str, dictionary: str) -> None:
    """Run until stdin ends."""
    path = Path(folder) / "settings"
    path.write_text(SETTINGS.format(folder=folder, port=port, dictionary=dictionary))
    settings = fix.SessionSettings(str(path))
    client = Client()
    initiator = fix.SocketInitiator(client, fix.FileStoreFactory(settings), settings, fix.FileLogFactory(settings))
    initiator.start()
    sys.stdin.read()
    initiator.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
