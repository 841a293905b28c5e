"""After an erasure no file of the store holds the user, all others are as before, and lineage names what is to be made again."""

import shutil
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from headrace.artifacts.store import Store, key_of
from headrace.contracts.config import parse
from headrace.contracts.errors import ArtifactError, DataError
from headrace.contracts.manifest import Manifest
from headrace.data.forget import ERASED, erased_users, forget, forget_in_tables
from headrace.data.importing import DataConfig, import_log
from headrace.data.log import Log

NOW = datetime(2024, 6, 1, tzinfo=UTC)
WHO = "ann é, 1"


def write_source(folder):
    users = [WHO, "bob", "cid", "dan", "eve"]
    pl.DataFrame({
        "user_id": [users[n % 5] for n in range(60)], "item_id": [f"i{n % 7}" for n in range(60)],
        "at": [1_700_000_000 + n for n in range(60)], "kind": "view", "value": [None] * 59 + ["odd"],
    }).write_csv(folder / "events.csv")  # fmt: skip
    pl.DataFrame({"user_id": ["bob", WHO, "cid"], "age": [30, 40, 50]}).write_csv(folder / "users.csv")


def settings(**more):
    return parse(DataConfig, {"events": "events.csv", "users": "users.csv", "max_quarantined": 0.1, **more}, where="test")


def stored(store, kind, parents=None, personal=True, make=None):
    key = key_of(kind, {}, parents or {}, 1)
    with store.create(Manifest(kind, key, 1, {}, parents or {}, personal=personal)) as draft:
        (draft.path / "x.txt").write_text(kind)
        if make:
            make(draft.path)
    return key


@pytest.fixture(params=[1000, 10])
def store(tmp_path, request):
    """tables -> features -> rank, and a report that is not personal; in one part and in several."""
    write_source(tmp_path)
    store = Store(tmp_path / "store")

    def make(out):
        import_log(settings(), {}, base=tmp_path, out=out, now=NOW, rows_at_once=request.param)

    tables = stored(store, "tables", make=make)
    features = stored(store, "features", {"tables": tables})
    rank = stored(store, "rank", {"features": features})
    stored(store, "report", {"rank": rank}, personal=False)
    return store


def tables_of(store):
    (manifest,) = [one for one in store.manifests() if one.kind == "tables"]
    return store.find("tables", manifest.key)


def test_no_byte_of_the_user_is_left_and_all_others_keep_their_numbers(store):
    before = Log.from_tables(tables_of(store).path)
    was, numbers = before.store.as_of(np.arange(6, dtype=np.int32), np.full(6, 2**62)), before.users.ids.to_list()
    shutil.copy(before.tables / "quarantine.parquet", store.root / "quarantine.parquet")
    done = forget(store, WHO, at=NOW)
    assert done.rows == {"events": 12, "users": 1}
    assert [one.kind for one in done.artifacts] == ["features", "rank"]
    artifact = tables_of(store)
    for path in store.root.rglob("*.parquet"):
        if path.name == ERASED:
            continue
        rows = pl.read_parquet(path)
        assert not any(rows[name].eq(WHO).any() for name in rows.columns if rows[name].dtype == pl.String), path.name
        assert WHO.encode() not in path.read_bytes()
    after = Log.from_tables(artifact.path)
    gone = numbers.index(WHO)
    assert [name for name in after.users.ids if name in numbers] == [name for name in numbers if name != WHO]
    assert after.users.ids[gone] == "erased user 1"
    now = after.store.as_of(np.arange(6, dtype=np.int32), np.full(6, 2**62))
    for user in range(6):
        mine, theirs = (h.items[h.offsets[user] : h.offsets[user + 1]].tolist() for h in (now, was))
        assert mine == ([] if user == gone + 1 else theirs)


def test_it_is_recorded_once_and_can_be_called_again(store):
    first = forget(store, WHO, at=NOW)
    again = forget(store, WHO, at=datetime(2025, 1, 1, tzinfo=UTC))
    assert again.rows == {}
    assert [one.key for one in again.artifacts] == [one.key for one in first.artifacts]
    assert erased_users(store.root / ERASED) == [WHO]
    assert pl.read_parquet(store.root / ERASED)["at"].to_list() == [NOW]
    forget(store, "eve", at=NOW)
    assert erased_users(store.root / ERASED) == [WHO, "eve"]
    assert pl.read_parquet(tables_of(store).path / "users.parquet")["user_id"].to_list().count("erased user 2") == 1


def test_an_erasure_that_breaks_leaves_the_old_tables_whole(store, monkeypatch):
    before = tables_of(store).digest

    def breaks(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.LazyFrame, "sink_parquet", breaks)
    with pytest.raises(ArtifactError, match="could not be written"):
        forget(store, WHO, at=NOW)
    monkeypatch.undo()
    assert tables_of(store).digest == before
    assert not list((store.root / ".drafts").iterdir())
    forget(store, WHO, at=NOW)
    assert tables_of(store).digest != before


def test_the_same_files_imported_again_leave_the_user_out(store, tmp_path):
    forget(store, WHO, at=NOW)
    out = tmp_path / "again"
    out.mkdir()
    erased = erased_users(store.root / ERASED)
    summary = import_log(settings(), {}, base=tmp_path, out=out, now=NOW, erased=erased)
    assert (summary.erased, summary.kept["events"]) == (13, 47)
    with pytest.raises(DataError, match="no event is left, all 60 are of users who were to be forgotten"):
        import_log(settings(users=None), {}, base=tmp_path, out=out, now=NOW, erased=[WHO, "bob", "cid", "dan", "eve"])
    assert sum(summary.quarantined["events"].values()) == 1
    assert all(WHO.encode() not in path.read_bytes() for path in out.rglob("*.parquet"))


def test_requests_and_what_was_shown_for_them_go_too(tmp_path):
    write_source(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    import_log(settings(), {}, base=tmp_path, out=out, now=NOW)
    pl.DataFrame({"request_id": ["r1", "r2"], "user_id": [WHO, "bob"]}).write_parquet(out / "requests.parquet")
    pl.DataFrame({"request_id": ["r1", "r1", "r2"], "item_id": ["a", "b", "a"]}).write_parquet(out / "candidates.parquet")
    pl.DataFrame({"experiment_id": "x", "unit_id": [WHO, "r1", "bob"], "unit_kind": ["user", "request", "user"]}).write_parquet(
        out / "exposures.parquet"
    )
    assert forget_in_tables(out, WHO) == {"events": 12, "users": 1, "requests": 1, "candidates": 2, "exposures": 2}
    assert pl.read_parquet(out / "candidates.parquet")["request_id"].to_list() == ["r2"]
