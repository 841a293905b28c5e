import threading
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from headrace.contracts.tables import CANDIDATES, REQUESTS
from headrace.serve.logs import files, impressions
from headrace.serve.logs.candidate_rows import ItemIds, Outcome
from headrace.serve.logs.impressions import Impression, ImpressionLog, requests_of


@pytest.fixture
def shown(service):
    """Impressions of 30 requests."""
    found = []
    for number in range(30):
        asked = service.recommend(f"c{number}", f"r{number}").asked
        found.append(Impression(asked, service.generation, ItemIds(service.names.ids), Outcome.of(service.walk(asked))))
    return found


def log_of(root, share=1.0, waiting=100, count=lambda *_: None, erased=()):
    return ImpressionLog(
        root, share=share, waiting=waiting, rotate_s=1000.0, count=count,
        erased=lambda users: np.isin(users, list(erased)),
    )  # fmt: skip


def test_rows_are_the_contract_s(service, shown, tmp_path):
    log = log_of(tmp_path)
    rows, asked = log.candidates(shown), requests_of(shown)
    log.close()
    assert dict(rows.drop("at").schema) == dict(CANDIDATES.schema())
    assert dict(asked.drop("slots", "excluded", "skipped", "filters").schema) == dict(REQUESTS.schema())
    assert not rows.select(CANDIDATES.key).is_duplicated().any()
    for table, frame in ((CANDIDATES, rows), (REQUESTS, asked)):
        assert frame.select(column.name for column in table.columns if column.required).null_count().sum_horizontal()[0] == 0


def test_every_stage_s_scores_are_those_it_gave(service, shown, tmp_path):
    log = log_of(tmp_path)
    rows = log.candidates(shown)
    log.close()
    for one in shown:
        mine = rows.filter(pl.col("request_id") == one.asked.request_id)
        items = [service.names.ids[item] for item in one.outcome.recalled.items[0] if item]
        assert mine["item_id"].to_list() == items
        scores = {(row["item_id"], each["stage"]): each["score"] for row in mine.to_dicts() for each in row["scores"]}
        for found in (one.outcome.recalled, *one.outcome.scored.values()):
            for stage, values in found.scores.items():
                for item, value in zip(found.items[0], values[0], strict=True):
                    if item:
                        assert scores.get((service.names.ids[item], stage), np.nan) == pytest.approx(value, nan_ok=True)
        stages = mine.group_by("stage").len()
        counts = dict(stages.iter_rows())
        assert counts["shown"] == 4
        assert counts["considered"] == one.outcome.scored["rank"].there.sum() - 4
        page = mine.filter(pl.col("stage") == "shown").sort("position")
        assert page["position"].to_list() == [1, 2, 3, 4]
        np.testing.assert_allclose(page["propensity"], one.outcome.slates.propensity[0])


def test_a_share_of_what_was_not_shown_is_kept_whatever_its_score(service, shown, tmp_path):
    many = [replace(one, asked=replace(one.asked, request_id=f"{one.asked.request_id} {n}")) for n in range(40) for one in shown]
    whole, part = log_of(tmp_path / "a"), log_of(tmp_path / "b", share=0.25)
    everything, sample = whole.candidates(many), part.candidates(many)
    whole.close()
    part.close()
    unshown = pl.col("stage") != "shown"
    assert len(sample.filter(~unshown)) == len(everything.filter(~unshown))
    assert set(sample.filter(unshown)["logged_p"]) == {0.25}
    assert set(sample.filter(~unshown)["logged_p"]) == {1.0}
    kept, n = len(sample.filter(unshown)), len(everything.filter(unshown))
    assert abs(kept - 0.25 * n) < 5 * np.sqrt(n * 0.25 * 0.75)
    assert sample.equals(part.candidates(many)), "the same hash keeps the same rows"
    best = everything.filter(unshown).with_columns(best=pl.col("scores").list.len())
    assert best["best"].mean() == pytest.approx(sample.filter(unshown)["scores"].list.len().mean(), rel=0.05)


def test_a_full_queue_drops_and_never_waits(service, shown, tmp_path, monkeypatch):
    counts, held = {"written": 0, "dropped": 0}, threading.Event()
    real = files.write_by_day

    def slow(*arguments):
        assert held.wait(120)
        real(*arguments)

    monkeypatch.setattr(impressions, "write_by_day", slow)
    monkeypatch.setattr(impressions, "_ROWS", 1)
    monkeypatch.setattr(impressions, "_AT_ONCE", 1)
    log = log_of(tmp_path, waiting=5, count=lambda name, n: counts.update({name: counts[name] + n}))
    for one in shown:
        log.put(one)
    assert counts["dropped"] >= len(shown) - 7  # five wait, one or two are being written
    held.set()
    log.close()
    assert counts["written"] + counts["dropped"] == len(shown)
    assert len(pl.read_parquet(sorted((tmp_path / "requests").glob("*/*.parquet")))) == counts["written"]


def test_a_disk_that_refuses_is_counted_and_the_log_goes_on(service, shown, tmp_path):
    counts = {"written": 0, "dropped": 0}
    (tmp_path / "candidates").write_text("in the way")
    log = log_of(tmp_path, count=lambda name, n: counts.update({name: counts[name] + n}))
    for one in shown:
        log.put(one)
    log.close()
    assert counts == {"written": 0, "dropped": len(shown)}


def test_who_was_erased_while_answers_waited_is_not_logged(service, shown, tmp_path):
    counts = {"written": 0, "dropped": 0, "erased": 0}
    log = log_of(tmp_path, count=lambda name, n: counts.update({name: counts[name] + n}), erased=["c3", "c7"])
    for one in shown:
        log.put(one)
    log.close()
    assert counts == {"written": len(shown) - 2, "dropped": 0, "erased": 2}
    requests, candidates = (pl.read_parquet(sorted((tmp_path / name).glob("*/*.parquet"))) for name in ("requests", "candidates"))
    assert set(requests["user_id"]) == {f"c{n}" for n in range(30)} - {"c3", "c7"}
    assert set(candidates["request_id"]) == set(requests["request_id"])


def test_whatever_fails_the_answers_that_come_after_it_are_logged(service, shown, tmp_path, monkeypatch):
    counts = {"written": 0, "dropped": 0}
    monkeypatch.setattr(impressions, "_AT_ONCE", 10)
    monkeypatch.setattr(impressions, "_ROWS", 10)
    broken = iter([ZeroDivisionError("rows"), None, ZeroDivisionError("erased")])

    def fails(*_):
        error = next(broken, None)
        if error is not None:
            raise error

    rows = impressions.requests_of
    monkeypatch.setattr(impressions, "requests_of", lambda held: fails() or rows(held))
    log = log_of(tmp_path, count=lambda name, n: counts.update({name: counts[name] + n}))
    monkeypatch.setattr(log, "erased", lambda users: fails() or np.zeros(len(users), np.bool_))
    for one in shown:
        log.put(one)
    log.close()
    assert counts == {"written": 10, "dropped": 20}
    assert sum(len(pl.read_parquet(path)) for path in (tmp_path / "requests").glob("*/*.parquet")) == 10


def test_what_a_process_that_died_left_half_written_is_gone_with_the_next_start(tmp_path):
    halves = [tmp_path / table / "2026-01-01" / ".00001.parquet.new" for table in ("requests", "candidates", "exposures")]
    for half in halves:
        half.parent.mkdir(parents=True)
        half.write_bytes(b"PAR1 of c3")
    log_of(tmp_path).close()
    assert not any(half.exists() for half in halves)
