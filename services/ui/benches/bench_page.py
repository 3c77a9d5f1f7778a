"""The page under load, in headless Chromium: frames a second, and how long after a print it is on the screen.

The service and its load are one process (services/api/benches/load.py), Chromium another; they share the machine's
cores. First paint and the size of the scripts are of a page that is opened anew.
"""

import contextlib
import gzip
import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from ui_platform import CHROMIUM, ROOT

from tradewind.services.ui import ASSETS

SECONDS: Final = 15
TOKEN: Final = "anna-0123456789abcdef0123456789abcdef"
INSTRUMENT: Final = """
window.bench = { frames: [], delays: [] };
const Real = window.WebSocket;
window.WebSocket = class extends Real {
  constructor(...rest) {
    super(...rest);
    this.addEventListener('message', (event) => {
      const trades = JSON.parse(event.data).data.trades ?? [];
      // The page takes what came once a frame; after that frame's own work the next one shows it.
      requestAnimationFrame(() => requestAnimationFrame(() => {
        const now = performance.timeOrigin + performance.now();
        for (const one of trades) window.bench.delays.push(now - Number(BigInt(one.ts_event) / 1000n) / 1000);
      }));
    });
  }
};
const tick = (at) => { window.bench.frames.push(at); requestAnimationFrame(tick); };
requestAnimationFrame(tick);
"""
FORGET: Final = "window.bench.frames.length = 0; window.bench.delays.length = 0"


def _load_module() -> Any:
    spec = importlib.util.spec_from_file_location("stream_bench", ROOT / "services/api/benches/bench_stream_clients.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def opened(port: int) -> Iterator[Page]:
    """The Market view of somebody who sends a token with every request."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(
            viewport={"width": 1440, "height": 900}, extra_http_headers={"Authorization": f"Bearer {TOKEN}"}
        )
        page = context.new_page()
        page.add_init_script(INSTRUMENT)
        page.goto(f"http://127.0.0.1:{port}/#/market")
        try:
            yield page
        finally:
            browser.close()


def run() -> dict[str, float]:
    """All figures."""
    stream = _load_module()
    with stream.load() as (port, process), opened(port) as page:
        page.wait_for_timeout(4_000)
        paint_ms = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN")
        page.evaluate(FORGET)
        before = process.cpu_times()
        page.wait_for_timeout(SECONDS * 1_000)
        after = process.cpu_times()
        told = json.loads(page.evaluate("JSON.stringify(window.bench)"))
    gaps = np.diff(np.array(told["frames"]))
    delays = np.array(told["delays"])
    scripts = list(ASSETS.rglob("*.js"))
    return {
        "frames_per_s": len(told["frames"]) / SECONDS,
        "slowest_5_percent_frames_per_s": 1_000 / float(np.percentile(gaps, 95)),
        "prints": float(len(delays)),
        "delay_p50_ms": float(np.percentile(delays, 50)),
        "delay_p95_ms": float(np.percentile(delays, 95)),
        "service_cpu": (after.user + after.system - before.user - before.system) / SECONDS,
        "first_paint_ms": float(paint_ms),
        "scripts_kb_gzipped": sum(len(gzip.compress(path.read_bytes())) for path in scripts) / 1_000,
    }


if __name__ == "__main__":
    for name, value in run().items():
        print(f"{name:32} {value:.2f}")
