"""Runs all benches in one go and prints a table; ``--write`` puts it into ``docs/benchmarks.md``.

The parts that replay recorded traffic need a capture: ``--capture FILE``, or the first one in the folder that
``TRADEWIND_TEST_DATA`` names (default ``../shared/data`` beside the repository). Nothing here passes or fails.
"""

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import uvloop

from tradewind.bus.brokers.broker_process import BrokerUnavailable

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "benchmarks.md"
BEGIN: Final = "<!-- figures: written by `make bench ARGS=--write` -->"
LIVE_S: Final = 60


def main() -> None:
    """Measure, print, perhaps write."""
    options = _options()
    capture = options.capture or _default_capture()
    rows = [
        *_bus_rows(),
        *_broker_rows(),
        *_store_rows(),
        *_risk_rows(),
        *_order_rows(),
        *_company_rows(),
        *_kernel_rows(),
        *_itch_rows(),
        *_frame_rows(),
        *_stream_rows(),
        *_page_rows(),
    ]
    if capture is None:
        print("No capture: the decoder and replay parts are left out. Name one with --capture FILE.")
    else:
        rows += [*_decoder_rows(capture), *_replay_rows(capture)]
    table = _table(rows)
    print(table)
    if options.write:
        head = PAGE.read_text(encoding="utf-8").partition(BEGIN)[0]
        PAGE.write_text(f"{head}{BEGIN}\n\n{_machine()}\n\n{table}\n", encoding="utf-8")
        print(f"Written to {PAGE.relative_to(ROOT)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--capture", type=Path, help="recorded Binance spot traffic")
    parser.add_argument("--write", action="store_true", help="write the table into docs/benchmarks.md")
    return parser.parse_args()


def _default_capture() -> Path | None:
    folder = Path(os.environ.get("TRADEWIND_TEST_DATA", ROOT.parent / "shared" / "data")) / "binance-spot"
    return next(iter(sorted(folder.glob("*.gz"))), None)


def _load(path: str) -> Any:
    """A bench module, which lives beside the code that it measures."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _bus_rows() -> Iterator[tuple[str, str, str]]:
    print("memory bus ...", flush=True)
    figures = uvloop.run(_load("libs/bus/benches/bench_memory.py").run())
    queue = figures["asyncio_queue_ns"]
    for name, label in (
        ("order_plane_group_ns", "order plane, one message to a group"),
        ("order_plane_broadcast_ns", "order plane, one message to a subscriber"),
        ("market_plane_batch_of_100_ns", "market plane, a batch of 100 records, no copy"),
    ):
        yield f"Memory bus: {label}", f"{figures[name]:,.0f} ns", f"{figures[name] / queue:.2f} of an asyncio.Queue"


def _broker_rows() -> Iterator[tuple[str, str, str]]:
    for name, client in (("kafka", "aiokafka"), ("rabbitmq", "aio-pika")):
        print(f"{name} ...", flush=True)
        bench = _load(f"libs/bus/benches/bench_{name}.py")
        try:
            with bench.broker() as url:
                figures = uvloop.run(bench.run(url))
        except BrokerUnavailable as error:
            print(f"left out: {error}")
            continue
        title = bench.TITLE
        rate = f"{figures['throughput_ratio']:.2f} of raw {client} ({figures['raw_throughput_per_s']:,.0f}/s)"
        yield f"{title}: order plane, published, received, committed", f"{figures['throughput_per_s']:,.0f}/s", rate
        p99 = f"{figures['p99_ratio']:.2f} of raw {client} ({figures['raw_p99_us']:,.0f} us)"
        yield f"{title}: publish to receive at 1,000/s, p99", f"{figures['p99_us']:,.0f} us", p99
        lost = f"{figures['market_records_lost']:,.0f} lost, in batches of 100"
        yield f"{title}: market data, publish to callback", f"{figures['market_records_per_s']:,.0f} records/s", lost


def _store_rows() -> Iterator[tuple[str, str, str]]:
    print("recorder's writes ...", flush=True)
    for table, figures in _load("libs/store/benches/bench_market_data_write.py").run().items():
        rate = f"{figures['rows_per_s']:,.0f} rows/s"
        yield f"Recorder's write, {table}", rate, f"{figures['ratio']:.2f} of copy_records_to_table of the same rows"
    print("recorder without its database, for a minute ...", flush=True)
    try:
        outage = _load("services/recorder/benches/bench_recorder_outage.py").run()
    except BrokerUnavailable as error:
        print(f"left out: {error}")
    else:
        missing = sum(outage[f"missing_{name}"] for name in ("trades", "quotes", "level_events"))
        label = (
            f"Recorder, database away {outage['outage_s']:.0f} s at {outage['records_per_s']:,} records/s, over Kafka"
        )
        memory = f"{outage['before_mb']:.0f} MB before, at most {outage['most_mb']:.0f} MB"
        yield label, memory, f"{missing} rows missing after {outage['catch_up_s']:.0f} s"
    print("rate limits ...", flush=True)
    limits = uvloop.run(_load("libs/store/benches/bench_rate_limits.py").run())
    yield "Shared rate limit: an order's token", f"{limits['order_spends_us']:.2f} us", "held ahead; no round trip"
    asked = f"{limits['question_over_round_trip']:.2f} of an empty round trip to Redis"
    yield "Shared rate limit: a query's tokens", f"{limits['question_takes_us']:,.0f} us", asked


def _risk_rows() -> Iterator[tuple[str, str, str]]:
    print("risk checks ...", flush=True)
    figures = _load("libs/execution/benches/bench_risk.py").run()
    label = "Risk: check, reserve and release an order, every limit set"
    many = f"{figures['many_over_alone']:.2f} of that with 1,000 strategies in 200 instruments"
    yield label, f"{figures['alone_ns'] / 1_000:,.1f} us", many
    busy = figures["with_a_price_move_per_order_ns"] / 1_000
    yield "Risk: the same, and a price moves before every order", f"{busy:,.1f} us", "1,000 strategies, 200 instruments"


def _order_rows() -> Iterator[tuple[str, str, str]]:
    print("order path ...", flush=True)
    figures = uvloop.run(_load("services/execution/benches/bench_order_throughput.py").run())
    ratio = f"{figures['throughput_ratio']:.2f} of the bare driver, same rows and batches"
    yield "Order path: commands to ACCEPTED in the store", f"{figures['orders_per_s']:,.0f} orders/s", ratio
    for name in ("p50", "p99"):
        took = f"{figures[f'commit_{name}_us'] / 1_000:,.1f} ms"
        yield f"Order path: commit, {name}", took, f"{figures[f'commit_{name}_ratio']:.2f} of the bare driver's"
    sys.path.insert(0, str(ROOT / "tests"))
    cold = uvloop.run(_load("services/execution/benches/bench_cold_start.py").run())
    there = f"{cold['open_orders']:,.0f} open orders, {cold['fills']:,.0f} fills at the venue, all kept"
    yield "Order path: cold start to ready", f"{cold['seconds']:.1f} s", there


def _company_rows() -> Iterator[tuple[str, str, str]]:
    print("order path with open pages and with traces ...", flush=True)
    figures = _load("tests/bench/order_path_company.py").run()
    alone = figures["pages"][0]
    apart = f"halves of these rounds differ by {alone['apart']:.0%}"
    label = "Command to first byte in the demo, median"
    yield f"{label}, no page open", f"{alone['us']:,.0f} us", f"{apart}, n = {alone['orders']:,.0f}"
    for count in (1, 20):
        row = figures["pages"][count]
        cost = f"{row['us'] / alone['us']:.2f} of that; {row['cpu'] - alone['cpu']:+.3f} of a core"
        yield f"{label}, {count} open", f"{row['us']:,.0f} us", cost
    without, traced = figures["traces"][False], figures["traces"][True]
    cost = f"{traced['us'] / without['us']:.2f} of without; {traced['cpu'] - without['cpu']:+.3f} of a core"
    yield f"{label}, every order traced", f"{traced['us']:,.0f} us", f"{cost}; halves differ by {without['apart']:.0%}"


def _kernel_rows() -> Iterator[tuple[str, str, str]]:
    print("kernels ...", flush=True)
    for name, figures in _load("native/benches/bench_kernels.py").run().items():
        label = f"Kernel {name.replace('_', ' ')}"
        yield label, f"{figures['native_ns']:,.0f} ns a call", f"{figures['ratio']:.1f}x its Python twin"


def _itch_rows() -> Iterator[tuple[str, str, str]]:
    folder = Path(os.environ.get("TRADEWIND_TEST_DATA", ROOT.parent / "shared" / "data")) / "itch50"
    if (day := next(iter(sorted(folder.glob("*.itch50"))), None)) is None:
        return
    print("ITCH ...", flush=True)
    figures = _load("native/benches/bench_itch.py").run(day)
    bare = f"{figures['of_bare_c']:.2f} of the speed of a bare C decode ({figures['bare_c_ns']:.1f} ns)"
    yield "ITCH 5.0 bytes to market records", f"{figures['records_ns']:.1f} ns a message", bare
    peers = {"itchcpp_books_ns": "PyPI itchcpp's BookManager", "itchfeed_ns": "PyPI itchfeed's parse alone"}
    against = "; ".join(
        f"{figures[name] / figures['books_ns']:,.1f}x as fast as {who} ({figures[name]:,.0f} ns)"
        for name, who in peers.items()
        if name in figures
    )
    books = f"{figures['books_ns']:.1f} ns a message"
    yield "ITCH 5.0 bytes to records and L3 books", books, against or "make peers installs what it is compared with"
    paced = figures["burst_paced"]
    lost = f"{paced['dropped']:,} lost, {paced['wake_ups']:,} wake-ups, ring of 1 M; loop lag p99"
    rate = f"{paced['records_per_s']:,.0f} records/s"
    yield "Ring, 5 million records into asyncio", rate, f"{lost} {paced['lag_p99_ms']:.1f} ms"


def _frame_rows() -> Iterator[tuple[str, str, str]]:
    print("frames and messages ...", flush=True)
    depth = _load("native/benches/bench_depth.py").run()
    bare = f"{depth['of_bare']:.2f} of a hand-written C parser ({depth['bare_us']:.2f} us)"
    typed = f"{depth['times_faster_than_msgspec']:.1f}x msgspec's typed decode alone"
    yield "Binance depth frame, 20 levels a side, to records", f"{depth['native_us']:.2f} us", f"{bare}; {typed}"
    fix = _load("native/benches/bench_fix.py").run()
    for what, name in (("ExecutionReport", ""), ("market data of 20 entries", "book_")):
        ways = {"times_faster_than_its_parse": "parse", "times_faster_than_parse_with_groups": "parse with groups"}
        against = "; ".join(
            f"{fix[name + way]:.1f}x as fast as PyPI quickfix's {said}"
            for way, said in ways.items()
            if name + way in fix
        )
        yield f"FIX {what} to typed events", f"{fix[f'{name}native_us']:.2f} us", against


def _stream_rows() -> Iterator[tuple[str, str, str]]:
    print("stream of the api ...", flush=True)
    *rows, bare = _load("services/api/benches/bench_stream_clients.py").run()
    alone = rows[0]["cpu"]
    for row in rows[1:]:
        late = f"a print is late by p50 {row['p50_ms']:.0f} ms, p95 {row['p95_ms']:.0f} ms"
        cost = f"{row['cpu'] - alone:.3f} of a core above the load's own {alone:.2f}"
        yield f"Stream, {row['clients']} pages, 5,000 records/s", f"{cost}, {row['rss_mb']:.0f} MB", late
    share = (rows[-1]["cpu"] - alone) / bare["bare_cpu"]
    yield "Stream, the largest of these", f"{share:.2f}x the CPU of the same bytes by websockets alone", ""


def _page_rows() -> Iterator[tuple[str, str, str]]:
    print("page in Chromium ...", flush=True)
    bench = _load("services/ui/benches/bench_page.py")
    if bench.CHROMIUM is None or not (bench.ASSETS / "index.html").is_file():
        print("There is no Chromium, or no built page (make ui): the page is left out.")
        return
    figures = bench.run()
    slowest = f"slowest 5 %: {figures['slowest_5_percent_frames_per_s']:.0f} frames/s"
    yield "Page under 5,000 records/s and 200 orders/s", f"{figures['frames_per_s']:.0f} frames/s", slowest
    late = f"p50 {figures['delay_p50_ms']:.0f} ms, p95 {figures['delay_p95_ms']:.0f} ms"
    yield "Page, from a print to its frame", late, f"first paint {figures['first_paint_ms']:.0f} ms"
    yield "Page, all its scripts", f"{figures['scripts_kb_gzipped']:.0f} kB gzipped", ""


def _decoder_rows(capture: Path) -> Iterator[tuple[str, str, str]]:
    print("decoder ...", flush=True)
    figures = _load("native/benches/bench_decode.py").run(capture)
    for way in ("each", "batch"):
        label = "Decoder, an array after " + ("each frame" if way == "each" else "64 frames")
        native = figures[way]["native_ns_per_frame"]
        yield label, f"{native:,.0f} ns a frame", f"{figures[way]['ratio']:.1f}x msgspec and the same records in Python"


def _replay_rows(capture: Path) -> Iterator[tuple[str, str, str]]:
    print("replay at full speed ...", flush=True)
    most = _replay(capture, "--speed", "max")
    yield "Whole pipeline, --speed max, database included", f"{most['frames_per_s']:,.0f} frames/s", _frames(most)
    yield "Peak memory of that process", f"{most['peak_rss_mb']:,.0f} MB", ""
    print(f"replay as recorded, {LIVE_S} s ...", flush=True)
    live = _replay(capture, "--speed", "1", "--duration", str(LIVE_S))
    tick, venue, bare = (live["latency_us"][n] for n in ("tick_to_command", "command_to_venue", "bare_commit"))
    yield "Tick to command, p50 / p99", f"{tick['p50']:,.0f} / {tick['p99']:,.0f} us", f"n = {tick['n']}"
    ratio = f"{venue['p50'] / bare['p50']:.2f} of a bare one-row commit ({bare['p50']:,.0f} us), n = {venue['n']}"
    yield "Command to venue, p50 / p99", f"{venue['p50']:,.0f} / {venue['p99']:,.0f} us", ratio


def _frames(report: dict[str, Any]) -> str:
    return f"{report['input']['frames']:,} frames in {report['wall_s']:.2f} s"


def _replay(capture: Path, *arguments: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="tradewind-bench-") as folder:
        out = Path(folder) / "report.json"
        command = [sys.executable, "-m", "tradewind.runtime", "demo", "--headless", "--replay", str(capture)]
        subprocess.run([*command, *arguments, "--report", str(out)], check=True, stdout=subprocess.DEVNULL)
        report: dict[str, Any] = json.loads(out.read_bytes())
        return report


def _table(rows: list[tuple[str, str, str]]) -> str:
    return "\n".join(["| what | measured | against |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)])


def _machine() -> str:
    model = next(
        (line.partition(":")[2].strip() for line in _cpu_lines() if line.startswith("model name")), platform.processor()
    )
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    return f"{when}, {model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}."


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


if __name__ == "__main__":
    main()
