"""Who was erased, by id or by digest."""

from datetime import UTC, datetime

import polars as pl
import pytest

from headrace.contracts.digests import digest
from headrace.data.erased import by_digest, digest_of, record_of, whose
from headrace.data.forget import erased_users, record_digests, record_erasure
from headrace.data.importing import import_log
from headrace.data.settings import DataConfig

USERS = pl.Series(["eve", "bob", None, "eve", "ann"])


@pytest.mark.parametrize("record", ["eve", by_digest(digest("eve"))])
def test_a_record_is_of_one_user_however_it_names_them(record):
    assert whose(USERS, [record]).to_list() == [True, False, False, True, False]
    assert digest_of(record) == digest("eve")
    assert not whose(USERS, []).any()


def test_an_id_that_reads_like_a_digest_is_not_taken_for_one():
    looks = by_digest(digest("eve"))
    users = pl.Series(["eve", looks, "blake2b:no digest"])
    assert whose(users, [record_of(looks)]).to_list() == [False, True, False]
    assert whose(users, [record_of("eve")]).to_list() == [True, False, False]
    assert whose(users, [record_of("blake2b:no digest")]).to_list() == [False, False, True]
    assert record_of("blake2b:" + "z" * 32) == "blake2b:" + "z" * 32


def test_erasures_told_of_are_recorded_once_and_after_those_of_here(tmp_path):
    path, now = tmp_path / "erasures.parquet", datetime(2025, 1, 1, tzinfo=UTC)
    record_erasure(path, "eve", now)
    record_digests(path, [digest("eve"), digest("bob")], now)
    record_digests(path, [digest("bob")], now)
    assert erased_users(path) == ["eve", by_digest(digest("bob"))]


def test_an_import_leaves_out_whom_it_knows_by_digest_alone(tmp_path):
    rows = ["user_id,item_id,at", *(f"{user},p{number},2025-01-0{number + 1}" for user in ("eve", "bob") for number in range(3))]
    (tmp_path / "events.csv").write_text("\n".join(rows))
    (tmp_path / "users.csv").write_text("user_id\neve\nbob\n")
    (tmp_path / "requests.csv").write_text("request_id,user_id,at,surface,policy_id,generation_id,seed\n" + "".join(
        f"r {user},{user},2025-01-02,home,p,g,0\n" for user in ("eve", "bob")
    ))  # fmt: skip
    settings = DataConfig(events="events.csv", users="users.csv", requests="requests.csv", timezone="UTC")
    out = tmp_path / "out"
    out.mkdir()
    summary = import_log(settings, {}, base=tmp_path, out=out, erased=[by_digest(digest("eve"))])
    assert summary.erased == 3 + 1 + 1
    for name in ("events", "users", "requests"):
        assert set(pl.read_parquet(out / f"{name}.parquet")["user_id"]) == {"bob"}, name
