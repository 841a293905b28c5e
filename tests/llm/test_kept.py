import sqlite3

import numpy as np
import pytest

from headrace.contracts.chat import Completion, Message, Scored, Usage
from headrace.contracts.errors import ArtifactError
from headrace.llm.cache import AnswerCache
from headrace.llm.chat import Chatting
from headrace.llm.kept import KeptFile, kept
from headrace.llm.remembered import row_of, row_of_score
from headrace.testing.chat import HOT, Scripted

TEXTS = ["Warm wool, in green.", "Wool at 100% off", "caf\u00e9 \u732b", "half \ud800"]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "run" / "store" / "answers.sqlite"
    with AnswerCache(path) as cache:
        for n, text in enumerate(TEXTS):
            cache.put(
                bytes([n]) * 32, row_of(Completion(text, "text"), Usage(1, prompt_tokens=10, completion_tokens=2, cost=0.5))
            )
        cache.flush()
        yield KeptFile(path)


def texts(file, words):
    return [one.text for one in file.rows(words, "", 0, 10)]


def test_it_is_read_while_another_has_it_open(file):
    assert texts(file, "") == [*TEXTS[:3], "half ?"]
    assert (file.count(), file.spent()) == (4, Usage(4, prompt_tokens=40, completion_tokens=8, cost=2.0))
    (one,) = file.rows("", "", 1, 2)
    assert (one.key, one.status, one.why, one.took.cost) == ("01" * 32, "text", "", 0.5)


@pytest.mark.parametrize(
    ("words", "found"),
    [("wool", [0, 1]), ("WOOL green", [0]), ("100%", [1]), ("%", [1]), ("_", []), ("!", []), ("caf\u00e9", [2]), ("\u732b", [2]),
     ("' OR 1=1 --", []), ("text", []), ("  ", [0, 1, 2, 3])],
)  # fmt: skip
def test_answers_that_have_all_words(file, words, found):
    assert [one.key for one in file.rows(words, "", 0, 10)] == [f"{n:02d}" * 32 for n in found]
    assert file.count(words) == len(found)


def test_scores_have_no_text(tmp_path):
    with AnswerCache(tmp_path / "anchors.sqlite") as cache:
        cache.put(b"k" * 32, row_of_score(Scored(np.array([-1.5, -2.0]), np.array([3, 4]))))
    (file,) = kept(tmp_path)
    (one,) = file.rows("", "", 0, 1)
    assert (one.status, one.text) == ("scored", "log-probabilities: -1.5, -2")
    assert file.spent().calls == 0
    assert file.statuses() == {"scored": 1}


def test_what_was_asked_stands_beside_the_answer(tmp_path):
    with AnswerCache(tmp_path / "answers.sqlite") as cache:
        asked = Chatting(Scripted({"tea": '{"hot": true}', "ice": "It is cold."}), cache)
        asked.complete_many([[Message("user", f"Is {what} hot?\ud800")] for what in ("tea", "ice")], HOT)
    (file,) = kept(tmp_path)
    assert (file.statuses(), file.words_kept(), file.count("", "parsed")) == ({"parsed": 1, "unparsed": 1}, 2, 1)
    (one,) = file.rows("", "parsed", 0, 10)
    assert one.model == Scripted([]).id
    assert [role for role, _ in one.asked] == ["system", "user"]  # with the schema in words, as it was sent
    assert one.asked[1][1] == "Is tea hot??"
    (other,) = file.rows("cold", "unparsed", 0, 10)
    assert other.asked[1][1] == "Is ice hot??"
    assert file.rows("tea", "unparsed", 0, 10) == []
    assert file.parsed(10) == [{"hot": True}]


def test_a_file_of_an_earlier_version_has_no_words(file):
    database = sqlite3.connect(file.path)
    database.execute("DROP TABLE questions")
    database.close()
    assert file.words_kept() == 0
    assert [list(one.asked) for one in file.rows("", "", 0, 10)] == [[]] * 4


def test_which_files_there_are(file, tmp_path):
    with AnswerCache(tmp_path / "run" / "store" / ".anchors" / "anchors.sqlite"):
        pass
    assert [one.path.name for one in kept(tmp_path)] == ["answers.sqlite", "anchors.sqlite"]
    assert kept(tmp_path / "none") == []


def test_what_is_no_cache_is_refused_and_not_changed(tmp_path):
    path = tmp_path / "answers.sqlite"
    with pytest.raises(ArtifactError, match="can't be read as a cache"):
        KeptFile(path).count()
    assert not path.exists()
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(ArtifactError, match="can't be read as a cache"):
        KeptFile(path).count()
    path.unlink()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE answers (key, answer)")
    other.close()
    with pytest.raises(ArtifactError, match="no cache of answers of format"):
        KeptFile(path).rows("", "", 0, 1)
