import pytest

from headrace.contracts.chat import Message
from headrace.contracts.errors import ArtifactError
from headrace.llm import questions
from headrace.llm.cache import AnswerCache
from headrace.llm.kept import KeptFile, kept
from headrace.llm.questions import forget_words, question_of, read_question


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_words_come_back_and_long_ones_are_cut():
    model, said = read_question(question_of("m", [Message("system", "short"), Message("user", "x" * 30_000)]))
    assert (model, said[0]) == ("m", ("system", "short"))
    assert said[1][1] == "x" * 10_000 + "... (30,000 letters)"
    assert read_question(None) == read_question(b"") == ("", [])


def test_the_newest_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(questions, "MOST", 5)
    with AnswerCache(tmp_path / "answers.sqlite") as cache:
        for number in (*range(12), 3):
            cache.put(
                key(number), {"text": "", "status": "text", "reason": ""}, question_of("m", [Message("user", f"q{number}")])
            )
            cache.flush()
    (file,) = kept(tmp_path)
    assert file.words_kept() == 5
    told = [one.asked[0][1] if one.asked else "" for one in file.rows("", "", 0, 20)]
    assert told == ["", "", "", "q3", *[""] * 4, "q8", "q9", "q10", "q11"]  # what was asked again is new


def test_they_go_with_their_answers(tmp_path):
    path = tmp_path / "answers.sqlite"
    with AnswerCache(path) as cache:
        for number in range(4):
            cache.put(key(number), {"text": f"a{number}"}, question_of("m", [Message("user", f"q{number}")]))
    with AnswerCache(path) as cache:
        cache.get_many([key(1)])
        assert cache.only_looked_up() == 3
    assert (KeptFile(path).words_kept(), KeptFile(path).count()) == (1, 1)


def test_all_words_below_a_folder_go_to_the_last_byte_and_answers_stay(tmp_path):
    path = tmp_path / "store" / "answers.sqlite"
    asked = question_of("m", [Message("user", "somebody's own words")])
    with AnswerCache(path) as cache:
        cache.put(key(1), {"text": "a1"}, asked)
    with AnswerCache(tmp_path / "t.parquet.work" / "answers.sqlite") as open_one:  # by a run that goes on
        open_one.put(key(2), {"text": "a2"}, asked)
        open_one.flush()
        assert asked in path.read_bytes()
        assert forget_words(tmp_path) == 2
        open_one.put(key(3), {"text": "a3"}, asked)
    assert asked not in path.read_bytes()
    assert [file.count() for file in kept(tmp_path)] == [1, 2]
    assert forget_words(tmp_path) == 1
    assert forget_words(tmp_path) == forget_words(tmp_path / "none") == 0


def test_a_damaged_file_is_told(tmp_path):
    (tmp_path / "answers.sqlite").write_bytes(b"no database" * 99)
    with pytest.raises(ArtifactError, match="Delete the file by hand"):
        forget_words(tmp_path)
