import pytest

from headrace.llm.cache import AnswerCache
from tests.serve.console.hostile import SCRIPT, TITLE
from tests.serve.console.markup import check_harmless

FILE = "store/answers.sqlite"


def seen(client, **values):
    answer = client.get("/console/annotations", params=values)
    assert answer.status_code == 200
    assert "<script>document" not in answer.text
    return check_harmless(answer.text)


def test_answers_with_what_they_took(client):
    found = seen(client)
    for said in (FILE, f"0 would like 100% wool {TITLE} ?", "6,000", "1,200", "15", "unparsed", SCRIPT, "Part 1 of 3"):
        assert said in found.text
    assert found.text.count("would like") == 25
    assert f"/console/annotations?file={FILE.replace('/', '%2F')}#answers" in {one["href"] for one in found.all("a")}


def test_by_words_and_by_part(client):
    found = seen(client, words="59 WOOL")
    assert "1 answer has these words" in found.text
    assert found.text.count("would like") == 1
    assert "0 answers have these words" in seen(client, words="linen").text
    last = seen(client, words="100%", page="3")
    assert last.text.count("would like") == 10
    (before,) = [one["href"] for one in last.all("a") if "page=2" in one["href"]]
    assert check_harmless(client.get(before).text).text.count("would like") == 25


@pytest.mark.parametrize("file", [f"none {SCRIPT}", "../../etc/passwd", "plan.json", "\x00"])
def test_a_file_that_is_none_of_them(client, file):
    found = seen(client, file=file).text
    assert f'No answers can be read from "{file}"'.replace("\x00", "\ufffd") in found.replace("\x00", "\ufffd")
    assert "would like" in found


def test_none_are_kept(client, monkeypatch):
    monkeypatch.setattr("headrace.serve.console.annotations.kept", lambda _: [])
    assert "No model's answers are kept in this run" in seen(client).text


def test_a_damaged_file_is_told_beside_the_others(client):
    folder = client.app.state.serving.folder
    broken, other = folder / "store" / "0" / "answers.sqlite", folder / "topics.parquet.work" / "answers.sqlite"
    broken.parent.mkdir()
    broken.write_bytes(b"no database" * 99)
    with AnswerCache(other):
        pass
    try:
        found = seen(client, file="topics.parquet.work/answers.sqlite").text
        assert "can't be read as a cache of answers" in found
        assert "0 answers have been kept" in found
    finally:
        for path in (*broken.parent.iterdir(), *other.parent.iterdir()):
            path.unlink()
        broken.parent.rmdir()
        other.parent.rmdir()
