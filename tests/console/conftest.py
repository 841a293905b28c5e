import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from headrace.artifacts.at_work import at_work
from headrace.cascade.run import build
from tests.console.browser import CHROMIUM, FLAGS, PATIENCE_MS
from tests.ports import free_port
from tests.serve.console.hostile import SCRIPT, TITLE, USER, keep_answers, keep_labels, user, write_hostile_shop

HEADRACE = Path(sys.executable).parent / "headrace"


@pytest.fixture(scope="module")
def browser():
    """Not longer than its tests: it keeps an event loop running in this process, and others begin their own."""
    if not Path(CHROMIUM).is_file():
        pytest.skip(f"the console in a browser: no Chromium at {CHROMIUM} (apt-get install chromium, or set CHROMIUM)")
    sync = pytest.importorskip("playwright.sync_api", reason="the console in a browser: playwright is not installed")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=PATIENCE_MS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def base(browser, tmp_path_factory: pytest.TempPathFactory):
    """The address of a server over the shop whose titles and ids are markup, with some traffic behind it."""
    folder = tmp_path_factory.mktemp("browsed")
    build(write_hostile_shop(folder), folder / "run", name="shop")
    keep_answers(folder / "run" / "store" / "answers.sqlite")
    keep_labels(folder / "run", "moods", ["good", SCRIPT, "good", None])
    keep_labels(folder / "run", "again", ["good", SCRIPT, SCRIPT, "good"])
    at_work(folder / "run" / "store")(f"rank {TITLE}", 3, 12, "loss 0.512")
    address = f"http://127.0.0.1:{(port := free_port())}"
    server = subprocess.Popen([HEADRACE, "serve", folder / "run", "--port", str(port)], stdout=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=address, trust_env=False, timeout=60) as client:
            deadline = time.monotonic() + 120
            while True:
                try:
                    client.get("/healthz")
                    break
                except httpx.TransportError:
                    assert server.poll() is None
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
            for number in range(12):
                assert client.post("/v1/recommend", json={"user_id": user(number)}).status_code == 200
            assert client.post("/v1/recommend", json={"user": USER}).status_code == 422
        yield address
    finally:
        server.terminate()
        server.wait(60)
