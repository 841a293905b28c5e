"""Every bad input of a user, met at the command line: a short error or a right result, never a traceback, nothing half-written,
nothing dropped in silence. What stands behind each is tested in data/test_hostile and cascade/test_hostile."""

import json
from datetime import UTC, datetime, timedelta, timezone

import polars as pl
import pytest

from headrace.artifacts.store import Store
from headrace.contracts.rng import rng
from tests.cli.forked import Forked

TOML = """
[data]
events = "{events}"
{more}
[evaluate]
metrics = ["recall@3"]
resamples = 100
"""
T0 = 1_700_000_000
COMPARE = ("compare", "shop.toml", "--retrieve", "markov", "--out", "run")
BUILD = ("build", "shop.toml", "--out", "run")


@pytest.fixture(scope="module")
def headrace():
    forked = Forked()
    yield forked
    forked.close()


def some_log(users=9, items=12, steps=8, *, user="u{}", item="i{}"):
    draw = rng(0, "some log")
    rows = users * steps
    return pl.DataFrame({
        "user_id": [user.format(n) for n in draw.integers(users, size=rows)],
        "item_id": [item.format(n) for n in draw.integers(items, size=rows)],
        "at": T0 + 3600 * draw.permutation(rows), "kind": "view",
    })  # fmt: skip


def write(folder, events, more=""):
    """events: rows for a CSV file, or a file's name and its contents."""
    name, content = events if isinstance(events, tuple) else ("events.csv", events.write_csv())
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (folder / "shop.toml").write_text(TOML.format(events=name, more=more))


def whole(folder):
    """Every artifact, all of which open; no draft lies about, and a report is there whole or not at all."""
    store = Store(folder / "run" / "store")
    assert all(store.find(one.kind, one.key) for one in store.manifests())
    assert not list(store.root.glob(".drafts/*"))
    assert not list((folder / "run").glob(".*json*"))
    if (folder / "run" / "report.json").exists():
        json.loads((folder / "run" / "report.json").read_text())
    return list(store.manifests())


def refused(ran, *says):
    assert ran.code == 2, ran.said
    assert "Traceback" not in ran.said
    for words in says:
        assert words in " ".join(ran.said.split())


def table(ran):
    """What stands below the progress bars."""
    assert ran.code == 0, ran.said
    assert "Traceback" not in ran.said
    return ran.said[ran.said.index("shop, global temporal") :]


def half_way(header):
    lines = some_log().write_csv().splitlines()
    return "events.csv", "\n".join([*lines[:30], header, *lines[30:]])


HEADER = "user_id,item_id,at,kind\n"
NO_NUMBERS = [float("nan"), float("inf"), float("-inf")]
REFUSED = {
    "an empty file": (("events.csv", ""), "events.csv is empty: not even a header"),
    "an empty log": (("events.csv", HEADER), "events.csv has no rows"),
    "all events at one moment": (
        some_log().with_columns(at=T0).unique(), "needs 5 windows with different times", "with 1 different times",
    ),
    "times in the future": (
        some_log().with_columns(at=pl.col("at") + 10**9), "72 of 72 rows quarantined", "quarantine.parquet",
    ),
    "NaN and infinite values": (
        some_log().with_columns(value=pl.Series(NO_NUMBERS + [1.0] * 69)),
        "3 of 72 rows quarantined", "3 have a value that is NaN or infinite",
    ),
    "a header half-way, of other columns": (
        half_way("item_id,user_id,kind,at,more"), "row 30 of events.csv has 5 fields, its header has 4",
    ),
    "a header half-way, of the same": (
        half_way("user_id,item_id,at,kind"), "1 of 73 rows quarantined", "1 has a time that can't be read",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused_in_words(headrace, tmp_path, case):
    events, *says = REFUSED[case]
    write(tmp_path, events)
    refused(headrace(*BUILD, cwd=tmp_path), *says)
    assert {one.kind for one in whole(tmp_path)} <= {"tables", "histories"}
    assert not (tmp_path / "run" / "report.json").exists()


def test_a_truncated_parquet_file(headrace, tmp_path):
    some_log().write_parquet(tmp_path / "whole")
    write(tmp_path, ("events.parquet", (tmp_path / "whole").read_bytes()[:-200]))
    refused(headrace(*BUILD, cwd=tmp_path), "events.parquet is cut short or not Parquet", "Write or copy it again")
    assert not whole(tmp_path)


def test_one_user(headrace, tmp_path):
    write(tmp_path, some_log(users=1, items=40, steps=60))
    assert "n = 1 users" in table(headrace(*COMPARE, cwd=tmp_path))
    whole(tmp_path)


def test_a_catalogue_of_one_item(headrace, tmp_path):
    write(tmp_path, some_log(users=400, items=1, steps=1))
    found = table(headrace(*COMPARE, cwd=tmp_path))
    assert "popularity 1.000 [1.000, 1.000]" in " ".join(found.split()), "there is but one thing to recommend"
    write(tmp_path, some_log(items=1))
    refused(headrace(*BUILD, cwd=tmp_path), "an item its user did not have before. Set page.seen_items = true")


def test_strange_ids_change_no_figure(headrace, tmp_path):
    """Commas, quotes, a line's end, emoji, ten thousand letters: names, and no more."""
    (tmp_path / "plain").mkdir()
    write(tmp_path / "plain", some_log(user="u{}z"))
    strange = {letter: letter + ', "\N{UNICORN FACE}"\n' + "x" * 10_000 for letter in ("u", "i")}
    write(tmp_path, some_log(user=strange["u"] + "{}z", item=strange["i"] + "{}"))
    assert table(headrace(*COMPARE, cwd=tmp_path)) == table(headrace(*COMPARE, cwd=tmp_path / "plain"))
    users = pl.read_parquet(next((tmp_path / "run/store/tables").glob("*/users.parquet")))["user_id"]
    assert sorted(users) == sorted(some_log(user=strange["u"] + "{}z")["user_id"].unique())


def test_times_in_seconds_and_in_iso_with_zones_are_the_same_times(headrace, tmp_path):
    events = some_log()
    zones = [timezone(timedelta(hours=hours)) for hours in (-8, 0, 5.5)]
    written = [datetime.fromtimestamp(at, UTC).astimezone(zones[at % 3]).isoformat() for at in events["at"]]
    found = []
    for name, times in {"seconds": events["at"], "zones": pl.Series(written)}.items():
        (tmp_path / name).mkdir()
        write(tmp_path / name, events.with_columns(at=times))
        found.append(table(headrace(*COMPARE, cwd=tmp_path / name)))
    assert found[0] == found[1]


def test_what_is_set_aside_is_said(headrace, tmp_path):
    events = some_log()
    late = pl.when(pl.int_range(72) == 5).then(4 * 10**9).otherwise("at")
    write(tmp_path, events.with_columns(at=late), "max_quarantined = 0.1")
    ran = headrace(*COMPARE, cwd=tmp_path)
    assert "set aside: 1 rows of events: a time more than a day after" in " ".join(ran.said.split())
    table(ran)


@pytest.mark.parametrize("place", ["run", "/proc/run"])
def test_an_output_folder_that_cannot_be_written(headrace, tmp_path, place):
    """A file stands there; nobody may write there, root neither."""
    write(tmp_path, some_log())
    (tmp_path / "run").write_text("in the way")
    refused(headrace(*BUILD[:-1], place, cwd=tmp_path), f"{place}/plan.json: can't write there", "another folder with --out")
    assert (tmp_path / "run").read_text() == "in the way"


@pytest.mark.parametrize("largest", [100, 4_000])
def test_a_disk_that_fills_up(headrace, tmp_path, largest):
    write(tmp_path, some_log())
    refused(headrace(*COMPARE, cwd=tmp_path, largest=largest), "could not be written (File too large)")
    whole(tmp_path)


def test_two_builds_into_one_folder_and_a_result_that_was_changed(headrace, tmp_path):
    write(tmp_path, some_log())
    one, other = headrace.at_once([COMPARE, COMPARE], cwd=tmp_path)
    assert table(one) == table(other)
    made = whole(tmp_path)
    assert len({(one.kind, one.key) for one in made}) == len(made)
    path = next((tmp_path / "run/store/retrieve").glob("*/component.safetensors"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    refused(headrace(*COMPARE, cwd=tmp_path), f"{path.parent.name}: {path.name} is not what was written (sha256 differs)")
    assert path.read_bytes() == content


def test_data_check_of_a_folder_whole_and_broken(headrace, tmp_path):
    write(tmp_path, some_log())
    table(headrace(*COMPARE, cwd=tmp_path))
    tables = next((tmp_path / "run/store/tables").iterdir())
    ran = headrace("data", "check", str(tables), cwd=tmp_path)
    assert (ran.code, "events: 72 rows" in ran.said) == (0, True)
    (tables / "events.parquet").write_bytes((tables / "events.parquet").read_bytes()[:-9])
    refused(headrace("data", "check", str(tables), cwd=tmp_path), "events.parquet is cut short or not Parquet")
    refused(
        headrace("data", "check", "movielens-100", cwd=tmp_path),
        'neither a folder nor a data set. Did you mean "movielens-100k"?',
    )
