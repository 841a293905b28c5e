"""Leave-last and by user through a whole plan, and what is refused there because it needs times."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from headrace.cascade.comparison import compare_retrievers, write_requests
from headrace.cascade.plan import plan_from, read_toml
from headrace.cascade.run import build, open_run, planned
from headrace.cascade.timeless import refuse_times
from headrace.contracts.errors import ConfigError, DataError
from headrace.data.step_clock import held_out
from tests.cascade.shop import write_shop


def with_split(folder, split):
    toml = write_shop(folder)
    small = toml.read_text().replace("k = 12", 'k = 12\nuse = ["popularity", "itemknn"]', 1)
    toml.write_text(f"{small}\n[split]\n{split}\n")
    return toml


def test_a_cascade_split_leave_last(tmp_path):
    """Each stage learns from the step before the next one's; the report says what the split leaks."""
    built = build(with_split(tmp_path, 'kind = "leave_last"'), tmp_path / "run", name="shop")
    pipeline = open_run(tmp_path / "run")
    lists = {stage: pipeline.lists(stage).requests for stage in ("prerank", "rank")}
    for before, requests in zip((3, 2), lists.values(), strict=True):
        lengths = pipeline.log.store.events.lengths[requests.users]
        assert (requests.history.lengths == lengths - before).all()
        assert len(set(requests.users.tolist())) == len(requests)
    assert {row.split for row in built.measured.rows} == {"leave-last (leaks across users in time)"}
    assert built.measured.facts["split"]["rank learns from"].startswith("each user's second last step")
    assert built.measured.facts["split"]["test"].startswith("each user's last step")
    assert len(built.page) == 4, "and it answers"


def test_held_out_users_change_nothing_that_is_fitted(tmp_path):
    pipeline = planned(with_split(tmp_path, 'kind = "by_user"\ntest_share = 0.3'), tmp_path / "run")
    held = held_out(pipeline.log, pipeline.plan.split)
    assert held is not None
    rows = compare_retrievers(pipeline, ["popularity", "markov"])
    assert {row.n for row in rows if row.slice == "all"} <= set(range(1, int(held.sum()) + 1))
    outside = pipeline.log.users.decode(np.flatnonzero(held[1:]).astype(np.int32) + 1)
    events = pl.read_csv(tmp_path / "events.csv")
    other = pl.when(pl.col("customer").is_in(outside)).then(pl.lit("p0")).otherwise("product").alias("product")
    events.with_columns(other).write_csv(tmp_path / "events.csv")
    changed = planned(tmp_path / "shop.toml", tmp_path / "changed")
    for name in ("popularity", "markov"):
        mine, theirs = (one.retriever(name, final=True).path / "component.safetensors" for one in (pipeline, changed))
        assert mine.read_bytes() == theirs.read_bytes()
    assert pipeline.tables.digest != changed.tables.digest


def test_another_split_of_the_same_log_is_fitted_anew(tmp_path):
    keys = set()
    for split in ('kind = "leave_last"', 'kind = "by_user"\ntest_share = 0.3', 'kind = "by_user"\ntest_share = 0.4', ""):
        keys.add(planned(with_split(tmp_path, split), tmp_path / "run").retriever("popularity", final=True).key)
    assert len(keys) == 4


def test_sequences_without_times(tmp_path):
    toml = with_split(tmp_path, "")
    toml.write_text(toml.read_text().replace("[data]", '[data]\nclock = "ordinal"').replace('at = "when"', ""))
    pl.read_csv(tmp_path / "events.csv").drop("when").write_csv(tmp_path / "events.csv")
    with pytest.raises(DataError, match=r'A split by time needs times.*kind = "leave_last"'):
        _ = planned(toml, tmp_path / "run").cuts
    toml.write_text(f'{toml.read_text()}kind = "leave_last"\n')
    pipeline = planned(toml, tmp_path / "run")
    rows = compare_retrievers(pipeline, ["popularity", "markov"])
    assert all("the file's order is the signal" in row.split for row in rows)
    write_requests(pipeline, tmp_path / "asked.parquet")
    assert pl.read_parquet(tmp_path / "asked.parquet").columns == ["request_id", "user_id", "history"]


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"features": {"count_days": [1]}}, "[features] count_days: a count over trailing days needs times"),
        ({"retrieve": {"popularity": {"half_life_days": 7.0}}}, "[retrieve.popularity] half_life_days: an age in days"),
        ({"tasks": {"buy": {"event": "view", "window_h": 72}}}, "[tasks.buy] window_h: a label with a window needs times"),
        ({"page": {"explore": {"rules": [{"pin": "p1", "slot": 1, "since": "2024-01-01"}]}}}, "[page.explore.rules] since"),
    ],
)
@pytest.mark.parametrize("kind", ["leave_last", "by_user"])
def test_what_needs_times_is_refused_by_name(tmp_path, section: dict[str, Any], says, kind):
    values = read_toml(write_shop(tmp_path))
    timed = plan_from({**values, **section}, where="shop.toml", folder=tmp_path)
    refuse_times(timed)
    with pytest.raises(ConfigError) as error:
        refuse_times(plan_from({**values, **section, "split": {"kind": kind}}, where="shop.toml", folder=tmp_path))
    assert says in str(error.value)
    assert f'kind = "{kind}"' in str(error.value)
    refuse_times(plan_from({**values, "split": {"kind": kind}}, where="shop.toml", folder=tmp_path))
