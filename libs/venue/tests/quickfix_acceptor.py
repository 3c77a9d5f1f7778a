"""A venue on the PyPI ``quickfix``: ``python quickfix_acceptor.py PORT FOLDER VERSION DICTIONARY``.

Each NewOrderSingle is written to ``orders`` in the folder (ClOrdID, PossDupFlag) before it is answered with an
ExecutionReport; one whose ClOrdID begins with "silent" is not answered.
"""

import os
import sys
import time
from pathlib import Path

import quickfix as fix

SETTINGS = """[DEFAULT]
ConnectionType=acceptor
StartTime=00:00:00
EndTime=00:00:00
SocketReuseAddress=Y
UseDataDictionary=Y
DataDictionary={dictionary}
FileStorePath={folder}/store
SocketAcceptPort={port}
[SESSION]
BeginString={version}
SenderCompID=SIM
TargetCompID=TRADEWIND
"""


class Venue(fix.Application):
    """Takes every order."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.orders = (folder / "orders").open("a", buffering=1)
        self.reports = 0

    def onCreate(self, session: fix.SessionID) -> None: ...
    def onLogon(self, session: fix.SessionID) -> None: ...
    def onLogout(self, session: fix.SessionID) -> None: ...
    def toAdmin(self, message: fix.Message, session: fix.SessionID) -> None: ...
    def fromAdmin(self, message: fix.Message, session: fix.SessionID) -> None: ...
    def toApp(self, message: fix.Message, session: fix.SessionID) -> None: ...

    def fromApp(self, message: fix.Message, session: fix.SessionID) -> None:
        header = message.getHeader()
        if header.getField(35) != "D":
            return
        name = message.getField(11)
        again = header.getField(43) if header.isSetField(43) else "N"
        self.orders.write(f"{name} {again}\n")
        os.fsync(self.orders.fileno())
        if not name.startswith("silent"):
            fix.Session.sendToTarget(self.report(message, name, session), session)

    def report(self, order: fix.Message, name: str, session: fix.SessionID) -> fix.Message:
        self.reports += 1
        report = fix.Message()
        version = session.getBeginString().getValue()
        report.getHeader().setField(8, version)
        report.getHeader().setField(35, "8")
        fields = {37: f"V{name}", 11: name, 17: f"{os.getpid()}-{self.reports}", 150: "0", 39: "0", 14: "0", 6: "0"}
        fields |= {tag: order.getField(tag) for tag in (55, 54, 38, 40, 44, 60)} | {151: order.getField(38)}
        if version == "FIX.4.2":
            fields[20] = "0"
        for tag, value in fields.items():
            report.setField(tag, value)
        return report


def main() -> None:
    port, folder, version, dictionary = sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "settings"
    settings.write_text(SETTINGS.format(dictionary=dictionary, folder=folder, port=port, version=version))
    read = fix.SessionSettings(str(settings))
    acceptor = fix.SocketAcceptor(Venue(folder), fix.FileStoreFactory(read), read)
    acceptor.start()
    print("listening", flush=True)
    while True:
        time.sleep(1)


if __name__ == "__main__":
    main()
