"""``tradewind up``: services in one process, or each in its own."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("up")(up)


def up(
    services: Annotated[
        list[str] | None, typer.Argument(metavar="[SERVICE ...]", help="Names of services; none means all.")
    ] = None,
    processes: Annotated[
        bool, typer.Option("--processes", help="Each service as a process of its own; they meet at a broker.")
    ] = False,
) -> None:
    """Run all services, or the named ones, in one process.

    A service that fails is started again with back-off. The first Ctrl-C stops everything in order: strategies first,
    then the api, feeds, the order path, the books, and the simulated venue last. A second Ctrl-C ends at once.

    With --processes each service is an operating system process, as it is in a cluster, and they meet only at the
    broker and in the databases. The broker is TRADEWIND_BUS_URL, kafka://127.0.0.1:9092 if that is not set;
    TRADEWIND_MARKET_DATA_URL and TRADEWIND_ORDERS_URL give a plane a broker of its own. Without
    TRADEWIND_POSTGRES_DSN and TRADEWIND_REDIS_URL the embedded stores are started, once for all. A process that dies is
    started again; all logs come out here as one, each line with its service; no process outlives this command.

    \b
    Examples:
      tradewind up
      tradewind up sim-venue market-data api
      TRADEWIND_API_PORT=9000 tradewind up
      TRADEWIND_POSTGRES_DSN=postgresql://me@db/tradewind tradewind up
      tradewind up --processes
      TRADEWIND_BUS_URL=amqp://127.0.0.1:5672 tradewind up --processes
      TRADEWIND_HEALTH_PORT=9100 tradewind up --processes
      tradewind status --url http://127.0.0.1:9100
    """
    # Imported late: stores and buses take most of a second, which --help and --version need not wait for.
    from tradewind.runtime.service_registry import services_to_run

    if processes:
        from tradewind.runtime.processes.running import run_as_processes

        raise typer.Exit(run_as_processes(services_to_run(services)))
    from tradewind.runtime.service_running import run_services

    raise typer.Exit(run_services(services_to_run(services), live_status=True))
