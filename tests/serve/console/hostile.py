"""A small shop whose ids, titles, texts and categories are markup that would run if a page let it."""

import csv
import json
from pathlib import Path

import polars as pl

from headrace.contracts.chat import Completion, Message, Status, Usage
from headrace.llm.cache import AnswerCache
from headrace.llm.questions import question_of
from headrace.llm.remembered import row_of

SCRIPT = "<script>document.title='owned'</script>"
TITLE = f'</td></script>{SCRIPT}"><img src=x onerror="document.title=1">'
USER = f"\"'><svg onload=document.title=1>{SCRIPT}&amp;{{{{ 7 * 7 }}}}"
PREFERENCE = f"wool{SCRIPT}\"' onfocus=alert(1) autofocus x='"
PICTURES = [
    'https://pictures.example/1.png" onerror="alert(1)',
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
]
RING, USERS, STEPS = 12, 12, 8
PLAN = """
[data]
events = "events.csv"
items = "items.csv"
max_quarantined = 0.05
[features]
item_vectors = "tfidf"
[retrieve]
use = ["popularity", "itemknn"]
k = 8
[prerank]
use = "two_tower"
keep = 6
[prerank.two_tower]
train = { epochs = 1 }
[rank.dcnv2]
hidden = [4]
history = 3
train = { epochs = 1 }
[page.explore]
slots = 4
[evaluate]
metrics = ["recall@5"]
resamples = 100
"""


def user(number: int) -> str:
    return USER if number == 0 else f"u{number}"


def item(number: int) -> str:
    return f"p{number}{SCRIPT}" if number % 2 else f"p{number}"


def write_hostile_shop(folder: Path) -> Path:
    """Returns the TOML."""
    with (folder / "events.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["user_id", "item_id", "at", "kind"])
        for step in range(STEPS):
            for who in range(USERS):
                rows.writerow([user(who), item((who + step) % RING), 1_700_000_000 + step * 86_400 + who * 60, "view"])
        rows.writerow([USER, "", 1_700_000_000, "view"])
        rows.writerow([user(1), f"x{SCRIPT}", -9_000_000_000_000, "view"])
    pl.DataFrame({
        "item_id": [item(n) for n in range(RING)], "title": [f"{n} {TITLE}" for n in range(RING)],
        "categories": [f"{SCRIPT}{n % 2}" for n in range(RING)],
        "text": [f"made of {['wool', 'steel', 'glass'][n % 3]} {SCRIPT}" for n in range(RING)],
        "image": [PICTURES[n % 3] for n in range(RING)],
    }).write_csv(folder / "items.csv")  # fmt: skip
    (folder / "shop.toml").write_text(PLAN)
    return folder / "shop.toml"


def keep_answers(path: Path, answers: int = 60) -> None:
    """As a build keeps what a model answered: every second one could not be used."""
    status: Status
    with AnswerCache(path) as cache:
        for n in range(answers):
            status, why = ("unparsed", SCRIPT) if n % 2 else ("parsed", "")
            said = Completion(f"{n} would like 100% wool {TITLE} \ud800", status, None, why)
            took = Usage(calls=1, prompt_tokens=100, completion_tokens=20, cost=0.25)
            asked = [Message("system", f"You read wishes. {SCRIPT}"), Message("user", f"What would {n} like? {TITLE}")]
            cache.put(n.to_bytes(32, "big"), row_of(said, took), question_of(f"model {SCRIPT}", asked))


def keep_labels(run: Path, name: str, moods: list[str | None]) -> None:
    """As `headrace annotate` leaves a table, its summary and its work folder."""
    out = run / f"{name}.parquet"
    out.with_name(f"{out.name}.work").mkdir()
    status = ["parsed" if mood else "unparsed" for mood in moods]
    pl.DataFrame({
        "review": [str(n) for n in range(len(moods))], "mood": moods, "stars": [1.5] * len(moods), "status": status,
        "reason": [None] * len(moods),
    }).write_parquet(out)  # fmt: skip
    summary = {
        "rows": len(moods),
        "parsed": status.count("parsed"),
        "model": f"m {SCRIPT}",
        "prompt": "p",
        "spent": {"cost": 0.5},
    }
    out.with_suffix(".json").write_text(json.dumps(summary))
