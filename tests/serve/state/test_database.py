import json
import struct

import pytest

from headrace.serve.state.database import DIGEST, Database, Full, Occupied, digest
from headrace.serve.state.row_keys import RowKeys


def put(database, user, count, *, pending=True):
    with database.writing() as writing:
        for number in range(count):
            writing.put(digest(user) + struct.pack(">Q", number), f"item of {user}".encode(), db=database.tables["newer"])
            if pending:
                database.wait(writing, int.from_bytes(digest(f"{user} {number}")[:7], "big"), f'{{"user_id": "{user}"}}'.encode())


def test_a_user_is_forgotten_whole_and_alone(tmp_path):
    database = Database(tmp_path, 0.1, sole=True)
    for user in ("ann", "bob", "cid"):
        put(database, user, 300)
    assert database.forget("bob") == 300
    assert database.forget("bob") == 0
    assert database.erased(["ann", "bob"]).tolist() == [False, True]
    with database.reading() as reading:
        left = {bytes(key)[:DIGEST] for key, _ in reading.cursor(database.tables["newer"])}
    assert left == {digest("ann"), digest("cid")}
    assert len(database.waiting(1000)) == 600
    assert {json.loads(row)["user_id"] for _, row in database.waiting(1000)} == {"ann", "cid"}
    database.close()


def test_no_byte_of_a_forgotten_user_is_left_once_it_is_opened_alone(tmp_path):
    database, file = Database(tmp_path, 0.1, sole=True), tmp_path / "lmdb" / "data.mdb"
    for user in ("ann of the north", "bob"):
        put(database, user, 200)
    database.sync()
    assert b"item of ann of the north" in file.read_bytes()
    database.forget("ann of the north")
    database.close()
    with_others = Database(tmp_path, 0.1, sole=False)
    with_others.close()
    again = Database(tmp_path, 0.1, sole=True)
    assert b"ann of the north" not in file.read_bytes()
    assert again.erased(["ann of the north", "bob"]).tolist() == [True, False]
    assert len(again.waiting(1000)) == 200
    before = file.stat().st_ino
    again.close()
    Database(tmp_path, 0.1, sole=True).close()
    assert file.stat().st_ino == before, "tidied once"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lmdb", "moments", "rows.key", "server.lock"]


def test_there_is_one_server(tmp_path):
    database = Database(tmp_path, 0.1, sole=True)
    with pytest.raises(Occupied, match="stop that one first"):
        Database(tmp_path, 0.1, sole=True)
    database.close()


def test_rows_that_wait_can_t_be_read_once_their_key_is_gone(tmp_path):
    """Also another process, which has the old key in memory, goes on under the new one."""
    database, file = Database(tmp_path, 0.1, sole=True), tmp_path / "lmdb" / "data.mdb"
    with database.writing() as writing:
        for number in range(50):
            database.wait(writing, number, b'{"user_id": "ann", "query": "a most secret wish"}')
    with database.reading() as reading:
        sealed = [bytes(value) for _, value in reading.cursor(database.tables["pending"])]
    assert len(set(sealed)) == 50, "alike rows do not look alike"
    old = RowKeys(tmp_path / "rows.key")
    assert b"secret" in old.opened(struct.pack(">Q", 3), sealed[3])
    database.forget("ann")
    assert b"secret" not in file.read_bytes()
    assert sealed[3] in file.read_bytes(), "the page has not been used again"
    with pytest.raises(KeyError):
        RowKeys(tmp_path / "rows.key").opened(struct.pack(">Q", 3), sealed[3])
    with database.writing() as writing:
        database.wait(writing, 60, b'{"user_id": "bob"}')
    assert old.opened(*map(bytes, _sealed(database)[0])) == b'{"user_id": "bob"}'
    assert database.waiting(10) == [(struct.pack(">Q", 60), b'{"user_id": "bob"}')]
    database.close()


def _sealed(database):
    with database.reading() as reading:
        return list(reading.cursor(database.tables["pending"]))


def test_no_room_is_said_and_leaves_all_as_it_was(tmp_path):
    database = Database(tmp_path, 0.5 / 1024, sole=True)  # half a MiB
    kept = 0

    def ten_more():
        with database.writing(adding=True) as writing:
            for number in range(kept, kept + 10):
                database.wait(writing, number, bytes(1000))

    with pytest.raises(Full, match="Raise \\[serve\\] map_gb"):  # noqa: PT012  # it comes at some time
        while True:
            ten_more()
            kept += 10
    assert len(database.waiting(10_000)) == kept > 100
    database.written([key for key, _ in database.waiting(kept // 2)])
    with database.writing(adding=True) as writing:
        database.wait(writing, kept, bytes(1000))
    assert len(database.waiting(10_000)) == kept - kept // 2 + 1
    database.close()


def test_an_erasure_that_was_broken_off_is_made_good(tmp_path, monkeypatch):
    database = Database(tmp_path, 0.1, sole=True)
    with database.writing() as writing:
        database.wait(writing, 1, b'{"user_id": "ann"}')
        database.wait(writing, 2, b'{"user_id": "bob"}')
    monkeypatch.setattr(RowKeys, "only", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        database.forget("ann")
    monkeypatch.undo()
    database.close()
    assert len(RowKeys(tmp_path / "rows.key")) == 2
    again = Database(tmp_path, 0.1, sole=True)
    assert len(RowKeys(tmp_path / "rows.key")) == 1
    assert [json.loads(row)["user_id"] for _, row in again.waiting(10)] == ["bob"]
    again.close()
