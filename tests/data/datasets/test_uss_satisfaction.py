"""Dialogues with satisfaction, from a tiny copy in the publisher's format. Nothing here reaches the network."""

import gzip
from dataclasses import replace

import polars as pl
import pytest

from headrace.contracts.errors import DataError
from headrace.contracts.tables import TURNS
from headrace.data import datasets
from headrace.data.datasets import uss_satisfaction

MWOZ = (
    "\nUSER\tA cheap place?\tRestaurant-Inform\t3,3,4\nSYSTEM\tThe sock.\tRestaurant-Inform\t\n"
    "USER\tThanks\tgeneral-thank\t4,4,4\nUSER\tOVERALL\t\t3,4,4\n"
    "\nUSER\tNo, I said a hotel.\t\t2,1\nUSER\tOVERALL\t\t2,2\n\n"
)
REST = {name: f"\nSYSTEM\tHi from {name}.\tOTHER\t\nUSER\t\t\t3\nUSER\tOVERALL\t\t5\n" for name in ("SGD", "ReDial", "CCPE")}


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    monkeypatch.delenv("HEADRACE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(uss_satisfaction, "ADDRESS", (tmp_path / "nowhere").as_uri())
    monkeypatch.setattr(uss_satisfaction, "ABOUT", replace(uss_satisfaction.ABOUT, rows={}))


def copied(folder, mwoz: str = MWOZ, *, gz: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {"MWOZ": mwoz, **REST}.items():
        path = folder / f"{name}.txt{'.gz' if gz else ''}"
        path.write_bytes(gzip.compress(text.encode()) if gz else text.encode())


def official(monkeypatch, tmp_path):
    copied(tmp_path / "official")
    monkeypatch.setattr(uss_satisfaction, "ADDRESS", (tmp_path / "official").as_uri())


def own(monkeypatch, tmp_path, mwoz=MWOZ):
    copied(tmp_path / "mine" / "uss-satisfaction", mwoz, gz=True)
    monkeypatch.setenv("HEADRACE_DATA", str(tmp_path / "mine"))


def crlf(monkeypatch, tmp_path):
    own(monkeypatch, tmp_path, MWOZ.replace("\n", "\r\n"))


@pytest.mark.parametrize("source", [official, own, crlf])
def test_every_copy_gives_the_same_tables(monkeypatch, tmp_path, source):
    source(monkeypatch, tmp_path)
    folder = datasets.get("uss-satisfaction")
    turns = pl.read_parquet(folder / "turns.parquet")
    assert turns.schema == TURNS.schema()
    assert turns.filter(pl.col("conversation_id").str.starts_with("MWOZ")).select(
        "conversation_id", "index", "role", "content"
    ).rows() == [
        ("MWOZ-0001", 0, "user", "A cheap place?"), ("MWOZ-0001", 1, "assistant", "The sock."),
        ("MWOZ-0001", 2, "user", "Thanks"), ("MWOZ-0002", 0, "user", "No, I said a hotel."),
    ]  # fmt: skip
    rated = pl.read_parquet(folder / "satisfaction.parquet")
    assert rated.filter(corpus="MWOZ").drop("corpus", "mean").rows() == [
        ("MWOZ-0001", 0, [3, 3, 4]), ("MWOZ-0001", 2, [4, 4, 4]), ("MWOZ-0001", None, [3, 4, 4]),
        ("MWOZ-0002", 0, [2, 1]), ("MWOZ-0002", None, [2, 2]),
    ]  # fmt: skip
    assert rated["mean"].to_list()[:5] == pytest.approx([10 / 3, 4, 11 / 3, 1.5, 2])
    assert datasets.check(folder) == {"turns": 10, "satisfaction": 11}


def test_a_turn_without_words_is_kept_and_rated(monkeypatch, tmp_path):
    own(monkeypatch, tmp_path)
    folder = datasets.get("uss-satisfaction")
    assert pl.read_parquet(folder / "turns.parquet").filter(conversation_id="CCPE-0001")["content"].to_list() == [
        "Hi from CCPE.", "",
    ]  # fmt: skip
    assert pl.read_parquet(folder / "satisfaction.parquet").filter(conversation_id="CCPE-0001")["index"].to_list() == [1, None]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("USER\thello\t3", 'MWOZ.txt: line 2 is "USER hello 3", expected USER or SYSTEM, text, act, ratings by tabs'),
        ("BOT\thello\t\t3", 'line 2 is "BOT hello  3"'),
        ("USER\thello\t\t3,6", 'line 2: ratings "3,6", expected 1 to 5'),
    ],
)
def test_a_line_of_another_format_is_named(monkeypatch, tmp_path, line, says):
    own(monkeypatch, tmp_path, f"\n{line}\n")
    with pytest.raises(DataError) as raised:
        datasets.get("uss-satisfaction")
    assert says in str(raised.value).replace("\t", " ")


def test_without_a_copy_it_says_what_to_do():
    with pytest.raises(DataError, match=r"uss-satisfaction could not be had\.[^$]*HEADRACE_DATA: not set[^$]*MWOZ\.txt"):
        datasets.get("uss-satisfaction")
