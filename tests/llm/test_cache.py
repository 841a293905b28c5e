import os
import signal
import sqlite3
import subprocess
import sys
import time
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis.strategies import binary, dictionaries, text

from headrace.contracts.errors import ArtifactError
from headrace.llm.budget import Budget, Limits, Prices
from headrace.llm.cache import AnswerCache
from headrace.llm.chat import Chatting
from headrace.testing.chat import ASKED, HOT, Scripted


def key(number: int) -> bytes:
    return sha256(str(number).encode()).digest()


def test_what_was_put_is_got_at_once_and_after_reopening(tmp_path):
    path = tmp_path / "deep" / "answers.sqlite"
    with AnswerCache(path) as cache:
        cache.put(key(1), {"text": "half a character: \ud800", "parsed": None})
        assert cache.get_many([key(1), key(2)]) == {key(1): {"text": "half a character: \ud800", "parsed": None}}
        assert (cache.hits, cache.misses, cache.rows) == (1, 1, 1)
    with AnswerCache(path) as cache:
        assert cache.get_many([key(2), key(1)]) == {key(1): {"text": "half a character: \ud800", "parsed": None}}


@settings(max_examples=20, deadline=None)
@given(rows=dictionaries(binary(min_size=32, max_size=32), dictionaries(text(), text()), max_size=20))
def test_any_answers_come_back(rows, tmp_path_factory):
    with AnswerCache(tmp_path_factory.mktemp("cache") / "a.sqlite") as cache:
        for one, answer in rows.items():
            cache.put(one, answer)
        assert cache.get_many(rows) == rows
        cache.flush()
        assert cache.get_many(rows) == rows


def test_more_keys_than_one_statement_takes(tmp_path):
    with AnswerCache(tmp_path / "a.sqlite") as cache:
        for number in range(1200):
            cache.put(key(number), {"n": number})
        found = cache.get_many(key(number) for number in range(2000))
        assert found == {key(number): {"n": number} for number in range(1200)}


def test_what_was_not_asked_for_is_forgotten_to_the_last_byte(tmp_path):
    path = tmp_path / "a.sqlite"
    with AnswerCache(path) as cache:
        for number in range(700):
            cache.put(key(number), {"text": f"answer-{number:04d}"})
    assert b"answer-0003" in path.read_bytes()
    with AnswerCache(path) as cache:
        cache.get_many([key(1), key(2), key(9999)])
        assert cache.only_looked_up() == 698
        cache.put(key(5), {"text": "new"})
        assert cache.rows == 3
    assert b"answer-0003" not in path.read_bytes()
    with AnswerCache(path) as cache:
        assert cache.get_many([key(1), key(3), key(5)]) == {key(1): {"text": "answer-0001"}, key(5): {"text": "new"}}


def test_two_processes_worth_of_handles_share_a_file(tmp_path):
    with AnswerCache(tmp_path / "a.sqlite") as one, AnswerCache(tmp_path / "a.sqlite") as other:
        one.put(key(1), {"from": "one"})
        one.flush()
        other.put(key(2), {"from": "other"})
        other.flush()
        assert len(one.get_many([key(1), key(2)])) == len(other.get_many([key(1), key(2)])) == 2


def test_a_killed_writer_loses_at_most_what_it_had_not_written(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from headrace.llm.cache import AnswerCache\n"
        "cache = AnswerCache(Path(sys.argv[1]))\n"
        "for n in range(600): cache.put(n.to_bytes(32, 'big'), {'n': n})\n"
        "os.kill(os.getpid(), 9)"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.sqlite")])
    assert ran.returncode == -signal.SIGKILL
    with AnswerCache(tmp_path / "a.sqlite") as cache:
        assert cache.rows == 512  # two batches of 256
        assert cache.get_many([(511).to_bytes(32, "big"), (512).to_bytes(32, "big")]) == {(511).to_bytes(32, "big"): {"n": 511}}


def test_a_durable_one_loses_nothing_to_a_kill(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from headrace.llm.cache import AnswerCache\n"
        "cache = AnswerCache(Path(sys.argv[1]), durable=True)\n"
        "for n in range(3): cache.put(n.to_bytes(32, 'big'), {'n': n})\n"
        "os.kill(os.getpid(), 9)"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.sqlite")])
    assert ran.returncode == -signal.SIGKILL
    with AnswerCache(tmp_path / "a.sqlite", durable=True) as cache:
        assert cache.rows == 3
        assert cache._database.execute("PRAGMA synchronous").fetchone() == (2,), "FULL: the disk is waited for"
        assert cache.spent().calls == 0, "rows of scores say nothing of usage"


def test_what_kept_answers_took_is_summed_over_runs_and_each_try_once(tmp_path):
    cache = AnswerCache(tmp_path / "a.sqlite")
    prices = Prices(prompt=1.0, completion=2.0)
    one = Chatting(Scripted(lambda _: "Yes."), cache, Budget(Limits(max_calls=1)), prices)
    one.complete_many([ASKED[0]], HOT)
    other = Chatting(Scripted(lambda _: '{"hot": true}'), cache, prices=prices)
    other.complete_many(ASKED, HOT)
    Chatting(Scripted([]), cache, prices=prices).complete_many(ASKED, HOT)
    spent, asked = cache.spent(), one.usage + other.usage
    assert (spent.calls, spent.prompt_tokens, spent.completion_tokens) == (4, asked.prompt_tokens, asked.completion_tokens)
    assert spent.cost == pytest.approx(asked.cost)
    cache.close()


def test_another_format_is_refused_by_name_and_left_alone(tmp_path):
    path = tmp_path / "a.sqlite"
    AnswerCache(path).close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 9")
    database.close()
    before = path.read_bytes()
    with pytest.raises(ArtifactError, match=r"a\.sqlite: a cache of format 9, this version reads 1"):
        AnswerCache(path)
    assert path.read_bytes() == before


def test_a_database_of_somebody_else_is_refused(tmp_path):
    database = sqlite3.connect(tmp_path / "shop.sqlite")
    database.execute("CREATE TABLE orders (id)")
    database.commit()
    database.close()
    with pytest.raises(ArtifactError, match=r"shop\.sqlite: a database, but no cache"):
        AnswerCache(tmp_path / "shop.sqlite")


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "a.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(ArtifactError, match=r"a\.sqlite: can't be used"):
        AnswerCache(tmp_path / "a.sqlite")


def test_a_row_whose_bytes_changed_is_named(tmp_path):
    with AnswerCache(tmp_path / "a.sqlite") as cache:
        cache.put(key(1), {"verdict": "a"})
    database = sqlite3.connect(tmp_path / "a.sqlite")
    stored = database.execute("SELECT answer FROM answers").fetchone()[0]
    database.execute("UPDATE answers SET answer = ?", (stored.replace(b'"a"', b'"b"'),))
    database.commit()
    database.close()
    with AnswerCache(tmp_path / "a.sqlite") as cache, pytest.raises(ArtifactError, match=key(1).hex()):
        cache.get_many([key(1)])


def test_a_folder_in_its_place_is_named(tmp_path):
    os.mkdir(tmp_path / "a.sqlite")
    with pytest.raises(ArtifactError, match=r"a\.sqlite"):
        AnswerCache(tmp_path / "a.sqlite")


def test_five_thousand_hits_a_second(tmp_path):
    with AnswerCache(tmp_path / "a.sqlite") as cache:
        for number in range(5000):
            cache.put(key(number), {"text": '{"verdict": "a"}' * 8, "status": "parsed", "parsed": {"verdict": "a"}})
        cache.flush()
        started = time.process_time()
        assert len(cache.get_many(map(key, range(5000)))) == 5000
        assert time.process_time() - started < 1
