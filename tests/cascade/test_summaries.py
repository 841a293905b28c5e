"""Users' summaries as a stage of a plan: by whom the plan says, of what came before the window, and of nobody who is gone."""

import json
import re
import shutil
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from headrace.artifacts.store import Store
from headrace.build.graph import Graph
from headrace.cascade.run import planned
from headrace.cascade.summaries import KEPT, load_summaries, summaries
from headrace.contracts.errors import ConfigError
from headrace.data.forget import forget
from headrace.data.summaries import Summaries
from headrace.llm.annotation.work import ANSWERS
from headrace.llm.budget import Limits
from headrace.llm.cache import AnswerCache
from headrace.methods.rank.dcnv2 import DCNv2
from tests.cascade.shop import write_rich_shop
from tests.llm.chat_server import completion, serving

READS = """
[rank]
use = "tests.cascade.test_summaries:Reads"
["rank"."tests.cascade.test_summaries:Reads"]
hidden = [8]
history = 5
train = { epochs = 1 }
"""
BY_MODEL = """
[summaries]
source = "model"
[summaries.model]
backend = "server"
[summaries.model.server]
base_url = "{url}"
model = "m"
"""
HEARD: list[Summaries] = []


class Reads(DCNv2):
    """A ranker that reads summaries, so that a test sees what it was given."""

    needs = (*DCNv2.needs, "summaries")

    def learn(self, interactions, artifacts):
        HEARD.append(artifacts["summaries"])
        return super().learn(interactions, artifacts)


def shop(folder, more=""):
    toml = write_rich_shop(folder)
    toml.write_text(toml.read_text() + more)
    return planned(toml, folder / "run")


def made(pipeline, cut_us=None, graph=None):
    cut_us = pipeline.cuts.test_us if cut_us is None else cut_us
    return summaries(graph or pipeline.graph, pipeline.tables, pipeline.log, cut_us, pipeline.plan.summaries)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    return shop(tmp_path_factory.mktemp("summaries"), READS)


def test_a_ranker_is_given_them_as_of_the_start_of_its_window(pipeline):
    HEARD.clear()
    ranker = pipeline.scorer("rank")
    start, end = pipeline.window("rank")
    assert ranker.manifest.parents["summaries"] == pipeline.summaries(start).key != pipeline.summaries(end).key
    (found,) = HEARD
    assert found.source == "extractive"
    assert found.texts == load_summaries(pipeline.summaries(start)).texts
    assert len(found.texts) == len(pipeline.log.users)
    assert found.texts[0] == ""
    assert found.told == 40
    assert all(text.startswith("likes ") for text in found.texts[1:])


def test_nothing_of_the_cut_and_later_is_in_a_sentence(pipeline):
    """The same log with other events behind the cut says the same; with other events before it does not."""
    cut_us = pipeline.window("rank")[0]
    before = load_summaries(pipeline.summaries(cut_us)).texts
    log = pipeline.log
    later = log.store.events.at_us >= cut_us
    assert later.any()
    for changed, same in ((later, True), (~later, False)):
        items = np.where(changed, log.items.encode(["p3"])[0], log.store.events.items)
        other = log.with_store(type(log.store)(type(log.store.events)(log.store.events.offsets, items, log.store.events.at_us)))
        tables = pipeline.tables
        graph = Graph(Store(pipeline.graph.store.root.parent / f"other-{same}"))
        found = load_summaries(summaries(graph, tables, other, cut_us)).texts
        assert (found == before) is same


def test_before_any_event_nobody_has_one_and_it_is_personal(pipeline):
    early = made(pipeline, int(pipeline.log.store.events.at_us.min()))
    assert early.manifest.personal
    assert load_summaries(early).told == 0
    assert early.manifest.metrics["with_summary"] == 0


def test_none_is_a_control_with_a_key_of_its_own(pipeline, tmp_path):
    control = shop(tmp_path, '[summaries]\nsource = "none"\n')
    found = load_summaries(made(control))
    assert (found.source, found.told, len(found.texts)) == ("none", 0, 41)
    assert made(control).key != made(pipeline).key
    other = shop(tmp_path, "[summaries.extractive]\nliked = 1\nnewest = 0\n")
    assert {len(text.split(", ")) for text in load_summaries(made(other)).texts[1:]} == {1}
    assert made(other).key != made(pipeline).key


def test_on_a_clock_of_steps_they_are_made_too(tmp_path):
    toml = write_rich_shop(tmp_path)
    toml.write_text(toml.read_text().replace("count_days = [2, 7]\n", "") + '[split]\nkind = "leave_last"\n')
    pipeline = planned(toml, tmp_path / "run")
    assert load_summaries(pipeline.summaries(pipeline.cuts.test_us)).told == 40


def test_who_refuses_has_none(tmp_path):
    toml = write_rich_shop(tmp_path)
    users = pl.DataFrame({
        "user_id": [f"c{n}" for n in range(40)],
        "consent_train": [n != 1 for n in range(40)], "consent_personalise": [n != 2 for n in range(40)],
    })  # fmt: skip
    users.write_csv(tmp_path / "users.csv")
    toml.write_text(toml.read_text().replace('crosses = [["user.city", "item.colour"]]\n', ""))
    pipeline = planned(toml, tmp_path / "run")
    texts = load_summaries(made(pipeline)).texts
    assert [texts[number] for number in pipeline.log.users.encode(["c1", "c2"])] == ["", ""]
    assert sum(map(bool, texts)) == 38


def reply(body):
    """Of half of the users nothing that can be used."""
    newest = body["messages"][1]["content"].split("- Product ")[1]
    kind = newest.split("made of ")[1].split(" ")[0]
    return completion(json.dumps({"interests": [f"They like {kind}." if kind != "steel" else kind]}))


def test_a_model_writes_them_where_the_plan_says_and_is_asked_once(tmp_path):
    """A real server, some of whose answers can't be used: none is guessed. The log's own words are all it hears."""
    with serving(reply) as server:
        pipeline = shop(tmp_path, BY_MODEL.format(url=server.url))
        first = made(pipeline)
        asked = len(server.asked)
        shutil.rmtree(first.path)
        again = made(pipeline, graph=Graph(pipeline.graph.store))
        assert len(server.asked) == asked, "kept answers are not paid for twice"
        heard = json.dumps(server.asked)
        assert re.search(r"\bc\d+\b|Bern|Rome", heard) is None, "of a user neither their name nor their traits"
    told = again.manifest.metrics
    assert told == first.manifest.metrics
    assert 0 < told["unparsed"] < told["asked"] == 40 == told["users"]
    texts = set(load_summaries(again).texts)
    assert texts <= {"", "They like wool.", "They like glass."}
    assert len(texts) > 1
    assert told["with_summary"] == 40 - told["unparsed"]


def test_a_draw_of_users_is_asked_about_and_a_budget_holds(tmp_path):
    with serving(reply) as server:
        pipeline = shop(tmp_path, BY_MODEL.format(url=server.url).replace('"model"', '"model"\nusers = 7', 1))
        assert made(pipeline).manifest.metrics["asked"] == 7
        spent = len(server.asked)
        limited = shop(tmp_path, BY_MODEL.format(url=server.url) + f"[summaries.limits]\nmax_calls = {spent + 2}\n")
        assert limited.plan.summaries.limits == Limits(max_calls=spent + 2)
        with pytest.raises(Exception, match="calls"):
            made(limited)
        assert len(server.asked) == spent + 2, "what was asked before counts"


def test_an_erased_user_has_none_and_what_was_written_of_them_is_gone(tmp_path):
    with serving(reply) as server:
        plan = BY_MODEL.format(url=server.url)
        pipeline = shop(tmp_path, plan)
        artifact = made(pipeline)
        root = pipeline.graph.store.root
        with AnswerCache(root / KEPT / ANSWERS) as cache:
            before = cache.rows
        gone = forget(pipeline.graph.store, "c1", at=datetime(2026, 1, 1, tzinfo=UTC))
        assert artifact.key in {one.key for one in gone.artifacts}
        again = planned(tmp_path / "shop.toml", tmp_path / "run")
        fresh = made(again)
    assert fresh.key != artifact.key
    assert "c1" not in again.log.users.ids
    assert len(load_summaries(fresh).texts) == 40
    with AnswerCache(root / KEPT / ANSWERS) as cache:
        assert cache.rows < before


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ('[summaries]\nsource = "extractiv"', r"\[summaries\].*source"),
        ('[summaries]\nsorce = "none"', 'Did you mean "source"'),
        ('[summaries]\nsource = "model"', r"no model is named. Add \[summaries.model\]"),
        ('[summaries]\nsource = "model"\n[summaries.model]\nbackend = "locale"', "backend"),
        ("[summaries.limits]\nmax_cost = 1.0", r"\[summaries.limits\]: max_cost is set, but no prices"),
        ("[summaries.written]\nnewst = 3", 'Did you mean "newest"'),
        ("[summaries.extractive]\nliked = 0", r"summaries.extractive\].*liked"),
        ("[summary]\nsource = 1", "Did you mean summaries"),
    ],
)
def test_mistakes_in_the_section_are_named(tmp_path, section, says):
    with pytest.raises(ConfigError, match=says):
        shop(tmp_path, section + "\n")


def test_a_model_needs_something_to_be_told(tmp_path):
    with serving(reply) as server:
        toml = write_rich_shop(tmp_path)
        rows = [row.split(",")[0] for row in (tmp_path / "items.csv").read_text().splitlines()]
        (tmp_path / "items.csv").write_text("\n".join(rows))
        values = toml.read_text().split("[features]")[0].replace("mmr = 0.3\n", "")
        toml.write_text(values + BY_MODEL.format(url=server.url))
        pipeline = planned(toml, tmp_path / "run")
        with pytest.raises(ConfigError, match="no item has a title, a text or a category"):
            made(pipeline)
