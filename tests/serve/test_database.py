import struct

import pytest

from headrace.serve.database import DIGEST, Database, Occupied, digest


def put(database, user, count, *, pending=True):
    with database.writing() as writing:
        for number in range(count):
            writing.put(digest(user) + struct.pack(">Q", number), f"item of {user}".encode(), db=database.tables["newer"])
            if pending:
                key = digest(f"{user} {number}")
                writing.put(key, f'{{"user_id": "{user}"}}'.encode(), db=database.tables["pending"])


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
    database.close()


def test_no_byte_of_a_forgotten_user_is_left_once_it_is_opened_alone(tmp_path):
    database, file = Database(tmp_path, 0.1, sole=True), tmp_path / "lmdb" / "data.mdb"
    for user in ("ann of the north", "bob"):
        put(database, user, 200)
    database.sync()
    assert b"ann of the north" in file.read_bytes()
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
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lmdb", "server.lock"]


def test_there_is_one_server(tmp_path):
    database = Database(tmp_path, 0.1, sole=True)
    with pytest.raises(Occupied, match="stop that one first"):
        Database(tmp_path, 0.1, sole=True)
    database.close()
