"""The gateway is left out of a platform that has no FIX clients."""

import pytest

from tradewind.runtime.service_registry import services_to_run

CLIENTS = "TRADEWIND_FIX_GATEWAY_CLIENTS_SECRET"


@pytest.mark.parametrize(("variable", "is_on"), [("", False), (CLIENTS, True), (f"{CLIENTS}_FILE", True)])
def test_it_runs_with_all_services_only_when_there_are_clients(
    variable: str, is_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(CLIENTS, raising=False)
    monkeypatch.delenv(f"{CLIENTS}_FILE", raising=False)
    if variable:
        monkeypatch.setenv(variable, "something")
    services = services_to_run()
    assert ("fix-gateway" in services) is is_on
    assert {"execution", "risk"} <= set(services)
    assert set(services_to_run(["fix-gateway"])) == {"fix-gateway"}
