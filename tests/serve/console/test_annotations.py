import shutil

import pytest

from headrace.llm.cache import AnswerCache
from headrace.serve.console.labels import agreements, tables
from tests.serve.console.hostile import SCRIPT, TITLE, keep_answers, keep_labels
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
    assert f"What would 0 like? {TITLE}" in found.text
    assert found.text.count(f"You read wishes. {SCRIPT}") == 25
    assert f"model {SCRIPT}" in found.text
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


def test_by_status(client):
    found = seen(client, status="unparsed", words="wool").text
    assert "30 answers have these words and are unparsed" in found
    assert "1 would like" in found
    assert "0 would like 100%" not in found
    assert "60 answers have been kept" in seen(client, status=SCRIPT).text


def test_words_go_with_an_erasure_and_answers_stay(ledgered):
    run = ledgered.app.state.serving.folder
    shutil.rmtree(run / "store" / "asked", ignore_errors=True)
    (run / "store" / "asked").mkdir()
    keep_answers(run / "store" / "asked" / "answers.sqlite", 2)
    asked = {"file": "store/asked/answers.sqlite"}
    assert "What would 0 like?" in seen(ledgered, **asked).text
    assert ledgered.delete("/v1/users/u11").status_code == 200
    found = seen(ledgered, **asked).text
    assert "What would 0 like?" not in found
    assert "1 would like" in found
    assert "somebody was erased since" in found


def test_tables_with_their_labels_and_how_far_they_agree(ledgered):
    run = ledgered.app.state.serving.folder
    keep_labels(run, "first", ["good", f"bad {SCRIPT}", "good", None])
    keep_labels(run, "second", ["good", f"bad {SCRIPT}", f"bad {SCRIPT}", "good"])
    found = seen(ledgered)
    for said in ("first.parquet", "4: 3 parsed", f"m {SCRIPT}", f"bad {SCRIPT}", "66.7%"):
        assert said in found.text
    (one,) = agreements(tables(run))
    assert (one.first, one.second, one.column, one.rows) == ("first.parquet", "second.parquet", "mood", 3)
    assert one.accuracy == pytest.approx(2 / 3)
    assert one.kappa == pytest.approx(0.4)
    (run / "second.json").write_text("[]")
    assert "Annotate the same rows a second time" in seen(ledgered).text
    for path in (*run.glob("first*"), *run.glob("second*")):
        path.rmdir() if path.is_dir() else path.unlink()


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
