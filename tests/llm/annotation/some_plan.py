"""A small annotation to test with: reviews in a file, two columns out, a server or a script that answers."""

import copy
from pathlib import Path
from typing import Any

import polars as pl

from headrace.llm.annotation.plan import Plan, plan_from

PROMPT = "version: 1\ntrusted: task\n[system]\nYou read reviews. {task}\n[user]\n{review}\n"
VALUES: dict[str, Any] = {
    "out": "topics.parquet",
    "rows": {"path": "reviews.csv", "key": "id", "chunk": 4},
    "prompt": {"file": "topics.txt", "values": {"task": "Name the topic."}},
    "columns": {"topic": {"type": "choice", "choices": ["price", "taste"]}, "mood": {"type": "number", "least": -1, "most": 1}},
    "model": {"backend": "server", "server": {"base_url": "http://localhost:1/v1", "model": "m"}},
}
GOOD = '{"topic": "taste", "mood": 0.5}'


def values(**sections: Any) -> dict[str, Any]:
    """The TOML's values, with these sections' keys put over or, where a section is None, taken out."""
    made = copy.deepcopy(VALUES)
    for name, section in sections.items():
        if section is None:
            del made[name]
        else:
            made[name] = made.get(name, {}) | section if isinstance(section, dict) else section
    return made


def plan(folder: Path, **sections: Any) -> Plan:
    (folder / "topics.txt").write_text(PROMPT)
    return plan_from(values(**sections), where="topics.toml", folder=folder)


def reviews(folder: Path, rows: int = 10) -> None:
    table = pl.DataFrame({"id": [f"r{n:04d}" for n in range(rows)], "review": [f"cup {n:04d} is fine" for n in range(rows)]})
    table.write_csv(folder / "reviews.csv")
