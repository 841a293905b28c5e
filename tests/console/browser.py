"""A real Chromium, and what every page has to stand up to in it."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

AXE = Path(__file__).parent / "axe" / "axe.min.js"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE_MS = 120_000.0
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 360, "height": 740}


@dataclass
class Opened:
    """A page, and what it said and asked for. elsewhere: addresses of other servers."""

    page: Any
    base: str
    said: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def go(self, path: str) -> Any:
        self.page.goto(self.base + path, wait_until="load")
        if self.page.locator("[data-chart]").count():
            self.page.wait_for_selector("[data-drawn=yes] [data-chart] svg")
        return self.page

    def dialog(self, dialog: Any) -> None:
        self.said.append("a dialog opened")
        dialog.dismiss()

    def check(self) -> None:
        """Nothing failed, nothing was blocked, nothing was asked of others, and nothing is wider than the window."""
        assert self.said == []
        assert self.elsewhere == []
        width, window = self.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert width <= window

    def faults(self) -> list[str]:
        """What axe-core calls serious or critical. It is run from outside: the page's policy would not let it in."""
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        grave = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
        return [f"{one['id']}: {json.dumps([node['target'] for node in one['nodes']])}" for one in grave]


@contextmanager
def opened(
    browser: Any, base: str, *, size: dict[str, int] = WIDE, scheme: str = "light", scripts: bool = True
) -> Iterator[Opened]:
    context = browser.new_context(viewport=size, color_scheme=scheme, java_script_enabled=scripts, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE_MS)
    made = Opened(context.new_page(), base)
    made.page.on("console", lambda message: made.said.append(f"{message.type}: {message.text}"))
    made.page.on("pageerror", lambda error: made.said.append(f"error: {error}"))
    made.page.on("dialog", made.dialog)
    made.page.on("request", lambda asked: None if asked.url.startswith(base + "/") else made.elsewhere.append(asked.url))
    try:
        yield made
    finally:
        context.close()
