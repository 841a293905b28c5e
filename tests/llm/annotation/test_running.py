import gc
import json
import re

import polars as pl
import pytest

from headrace.artifacts.at_work import Job, jobs
from headrace.contracts.chat import BudgetReached, Message
from headrace.contracts.errors import ArtifactError
from headrace.llm.annotation.running import annotate, opened, summary_of
from headrace.llm.annotation.work import alone, folder_of
from headrace.llm.backend import Said
from headrace.llm.cache import AnswerCache
from headrace.testing.chat import Scripted
from tests.llm.annotation.some_plan import GOOD, plan, reviews


def cup(chat):
    return int(re.findall(r"cup (\d+)", chat[-1].content if len(chat) == 2 else chat[1].content)[0])


def topic(chat):
    """Of odd cups the price; cup 3 is never answered in JSON."""
    return "No idea." if cup(chat) == 3 else f'{{"topic": "{"price" if cup(chat) % 2 else "taste"}", "mood": {cup(chat) / 100}}}'


def test_every_row_has_its_columns_and_a_status(tmp_path):
    reviews(tmp_path)
    of = plan(tmp_path)
    told = []
    summary = annotate(of, Scripted(topic), progress=lambda *one: told.append(one))
    out = pl.read_parquet(of.out)
    assert out.schema == {
        "id": pl.String, "topic": pl.String, "mood": pl.Float64, "status": pl.String, "reason": pl.String,
    }  # fmt: skip
    assert out["id"].to_list() == [f"r{n:04d}" for n in range(10)]
    assert out["topic"].to_list() == [None if n == 3 else ("taste", "price")[n % 2] for n in range(10)]
    assert out.row(3) == ("r0003", None, None, "unparsed", "there is no JSON object")
    assert out.filter(pl.col("status") == "parsed")["reason"].is_null().all()
    assert (summary["rows"], summary["parsed"], summary["unparsed"], summary["failed"]) == (10, 9, 1, 0)
    assert summary["unparsed_rate"] == 0.1
    assert summary["usage"]["calls"] == 11, "one was asked twice"
    assert summary == json.loads(summary_of(of.out).read_text())
    assert summary["model"] == "scripted"
    assert summary["prompt"].startswith("topics@1:")
    assert told[-1][1:3] == (10, 10)
    assert sorted(path.name for path in folder_of(of.out).iterdir()) == [".lock", ".progress", "answers.sqlite"], (
        "the parts are gone"
    )


def test_asked_again_only_what_failed_is_asked(tmp_path):
    reviews(tmp_path)
    of = plan(tmp_path)
    down = {2, 7}
    summary = annotate(of, Scripted(lambda chat: Said("", error="h: status 500") if cup(chat) in down else GOOD))
    assert summary["failed"] == 2
    row = pl.read_parquet(of.out).row(7, named=True)
    assert (row["topic"], row["mood"], row["status"], row["reason"]) == (None, None, "failed", "h: status 500")
    backend = Scripted(lambda _: GOOD)
    summary = annotate(of, backend)
    assert {cup(chat) for chat in backend.heard} == down
    assert (summary["failed"], summary["parsed"]) == (0, 10)


@pytest.mark.parametrize("limits", [{"max_calls": 6}, {"max_tokens": 600}, {"max_cost": 600e-6}])
def test_a_budget_that_ends_keeps_what_is_done_and_holds_over_runs(tmp_path, limits):
    reviews(tmp_path)
    prices = {"prompt": 1.0, "completion": 1.0}

    def with_limits(**limits):
        return plan(tmp_path, limits=limits, prices=prices, sampling={"max_tokens": 8})

    first = Scripted(lambda _: GOOD, at_once=3)
    with pytest.raises(
        BudgetReached, match=r"of 10 rows are written and \d+ answers kept.*Raise what ended.*run the same"
    ) as said:
        annotate(with_limits(**limits), first)
    assert 0 < len(first.heard) < 10
    assert f" {len(first.heard)} answers kept" in str(said.value)
    assert not (tmp_path / "topics.parquet").exists()
    with pytest.raises(BudgetReached):
        annotate(with_limits(**limits), Scripted([]))  # the limit holds over runs: not one more is asked
    rest = Scripted(lambda _: GOOD)
    summary = annotate(with_limits(), rest)
    assert len(rest.heard) == 10 - len(first.heard), "none of them is asked again"
    assert summary["parsed"] == 10
    assert summary["spent"]["calls"] == 10


def test_a_second_try_without_room_is_no_row(tmp_path):
    """It would be unparsed with this budget and parsed with more, so it stays undone."""
    reviews(tmp_path, 4)
    with pytest.raises(BudgetReached, match="no room for the second try of 1 rows"):
        annotate(plan(tmp_path, limits={"max_calls": 4}), Scripted(lambda chat: "Hm." if cup(chat) == 3 else GOOD))
    rest = Scripted(lambda _: GOOD)
    assert annotate(plan(tmp_path, limits={"max_calls": 5}), rest)["parsed"] == 4
    assert len(rest.heard) == 1


def test_an_interrupted_run_goes_on_and_the_file_is_the_same(tmp_path):
    reviews(tmp_path)
    of = plan(tmp_path)
    annotate(of, Scripted(topic))
    whole = of.out.read_bytes()
    of.out.unlink()
    (folder_of(of.out) / "answers.sqlite").unlink()
    asked = []

    def stops(chat):
        if cup(chat) == 6:
            raise KeyboardInterrupt
        asked.append(cup(chat))
        return topic(chat)

    with pytest.raises(KeyboardInterrupt):
        annotate(of, Scripted(stops))
    assert not of.out.exists()
    rest = Scripted(topic)
    annotate(of, rest)
    assert {cup(chat) for chat in rest.heard}.isdisjoint(asked)
    assert of.out.read_bytes() == whole


def test_other_settings_begin_anew_and_are_named(tmp_path):
    reviews(tmp_path)
    with pytest.raises(BudgetReached):
        annotate(plan(tmp_path, limits={"max_calls": 5}), Scripted(lambda _: GOOD))
    told = list[str]()
    backend = Scripted(lambda _: GOOD)
    other = plan(tmp_path, columns={"mood": {"type": "number", "least": 0, "most": 1}}, sampling={"seed": 3})
    annotate(other, backend, tell=told.append)
    (said,) = told
    assert "(columns.mood.least, sampling)" in said
    assert len(backend.heard) == 10
    with opened(plan(tmp_path), Scripted([])) as job:
        assert job.told == "", "the unfinished run's parts went with the finished one's"


def test_changed_data_begin_anew_but_equal_questions_are_kept(tmp_path):
    reviews(tmp_path, 6)
    annotate(plan(tmp_path), Scripted(lambda _: GOOD))
    reviews(tmp_path, 9)
    backend = Scripted(lambda _: GOOD)
    assert annotate(plan(tmp_path), backend)["rows"] == 9
    assert sorted(map(cup, backend.heard)) == [6, 7, 8]


def test_two_runs_at_once_are_refused(tmp_path):
    reviews(tmp_path)
    of = plan(tmp_path)
    with alone(of.out), pytest.raises(ArtifactError, match=r"topics\.parquet\.work: another run is at work there"):
        annotate(of, Scripted([]))


def test_rows_are_chats_a_chunk_at_a_time(tmp_path):
    reviews(tmp_path, 300)
    of = plan(tmp_path, rows={"chunk": 50})
    backend = Scripted(lambda _: GOOD, at_once=1000)
    most, alive = 0, 0

    def said(chats, schema, sampling, each):
        nonlocal most, alive
        most = max(most, len(chats))
        backend.heard.clear()
        alive = max(alive, sum(type(one) is Message for one in gc.get_objects()))
        Scripted.say(backend, chats, schema, sampling, each)

    backend.say = said  # type: ignore[method-assign]
    before = sum(type(one) is Message for one in gc.get_objects())
    assert annotate(of, backend)["parsed"] == 300
    assert most == 50
    assert alive - before <= 4 * 50, "each chat has two messages, and the schema's words make a third"


def test_nothing_of_a_refused_run_is_written(tmp_path):
    reviews(tmp_path)
    (tmp_path / "topics.parquet.work").write_text("a file")
    with pytest.raises(ArtifactError, match=r"work: can't be made or written"):
        annotate(plan(tmp_path), Scripted([]))
    (tmp_path / "topics.parquet.work").unlink()
    (tmp_path / "topics.parquet.work").mkdir()
    (tmp_path / "topics.parquet.work" / "answers.sqlite").write_text("no cache, but longer than a header of one would be. " * 9)
    with pytest.raises(ArtifactError, match=r"answers\.sqlite: can't be used"):
        annotate(plan(tmp_path), Scripted([]))


def test_the_answers_of_a_server_are_durable(tmp_path):
    reviews(tmp_path)
    with opened(plan(tmp_path)) as job:
        assert job.cache.durable
    with opened(plan(tmp_path), Scripted([])) as job:
        assert isinstance(job.cache, AnswerCache)
        assert not job.cache.durable


def test_it_is_told_in_the_work_folder_while_it_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("headrace.artifacts.at_work._APART_S", 0.0)
    monkeypatch.setattr("headrace.llm.annotation.tally._TELL_S", 0.0)
    reviews(tmp_path)
    of, seen = plan(tmp_path), list[Job]()
    annotate(of, Scripted(topic), progress=lambda *_: seen.extend(jobs(folder_of(of.out))))
    assert {bar.stage for job in seen for bar in job.bars} == {f"annotate {of.out.name}", "rows"}
    assert jobs(folder_of(of.out)) == []
