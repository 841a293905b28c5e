import re
from dataclasses import replace

import pytest

from headrace.contracts.chat import BudgetReached
from headrace.llm.annotation.columns import Column
from headrace.llm.annotation.pricing import middling, priced
from headrace.llm.annotation.running import annotate, opened
from headrace.llm.chosen import Chosen, ModelConfig
from headrace.testing.chat import Scripted
from tests.llm.annotation.some_plan import GOOD, plan, reviews

PRICES = {"prompt": 2.0, "completion": 10.0}


def price(of, backend=None):
    with opened(of, backend) as job:
        return priced(job)


def test_nothing_is_asked_and_the_first_prompt_is_shown_as_it_would_be_sent(tmp_path):
    reviews(tmp_path)
    of, backend = plan(tmp_path, prices=PRICES), Scripted([])
    found = price(of, backend)
    assert (found.rows, found.done, found.kept, found.to_ask) == (10, 0, 0, 10)
    heard = Scripted(lambda _: GOOD)
    annotate(of, heard)
    assert list(found.shown) == list(heard.heard[0])
    assert "JSON schema" in found.shown[0].content
    assert not found.exact, "a server counts with a tokenizer of its own"


def test_settings_that_were_only_priced_leave_nothing_behind(tmp_path):
    reviews(tmp_path)
    for seed in range(3):
        with opened(plan(tmp_path, sampling={"seed": seed}), Scripted([])) as job:
            assert job.told == ""
            assert [path.parent.name for path in job.work.folder.glob("*/rows.parquet")] == [job.work.key[:16]]


def test_what_is_kept_costs_nothing_more(tmp_path):
    reviews(tmp_path)
    with pytest.raises(BudgetReached):
        annotate(plan(tmp_path, limits={"max_calls": 6}), Scripted(lambda _: GOOD))
    found = price(plan(tmp_path), Scripted([]))
    assert (found.done, found.kept, found.to_ask) == (4, 2, 4)


def test_prompts_are_counted_exactly_where_the_tokenizer_is_at_hand(tmp_path):
    reviews(tmp_path)
    of = replace(plan(tmp_path, prices=PRICES), model=Chosen(ModelConfig(backend="local"), None, tmp_path))
    found = price(of, Scripted([]))
    used = annotate(of, Scripted(lambda _: GOOD))["usage"]
    assert found.exact
    assert found.likely_prompt == used["prompt_tokens"]


def test_no_run_costs_more_than_the_most(tmp_path):
    reviews(tmp_path)
    of = plan(tmp_path, prices=PRICES, sampling={"max_tokens": 12})
    found = price(of, Scripted([]))
    assert found.likely_cost < found.most_cost
    worst = annotate(of, Scripted(lambda _: "word " * 11 + "word"))["usage"]
    assert worst["calls"] == 20
    assert worst["prompt_tokens"] <= found.most_prompt
    assert worst["completion_tokens"] == found.most_completion == 240
    assert worst["cost"] <= found.most_cost


def test_a_likely_answer_meets_the_columns_middle():
    columns = {
        "a": Column(type="text", max_characters=40), "b": Column(type="choice", choices=("x", "longest")),
        "c": Column(type="texts", max_items=2, max_characters=8), "d": Column(type="boolean"), "e": Column(type="integer"),
    }  # fmt: skip
    assert middling(columns) == {"a": "x" * 10, "b": "longest", "c": ["xx", "xx"], "d": False, "e": 12}


def test_every_row_is_counted_under_way(tmp_path):
    reviews(tmp_path)
    told = []
    with opened(plan(tmp_path), Scripted([])) as job:
        priced(job, lambda *one: told.append(one[:3]))
    assert told == [("rows counted", 4, 10), ("rows counted", 8, 10), ("rows counted", 10, 10)]
    assert re.match(r"^[0-9a-f]{64}$", job.data)
