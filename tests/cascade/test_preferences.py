"""What users wanted as a stage of a plan, and a plan with mender built on it."""

import json
import shutil

import numpy as np
import pytest

from headrace.build.graph import Graph
from headrace.cascade.item_vectors import load_text_encoder
from headrace.cascade.pipeline import Pipeline
from headrace.cascade.preferences import load_wishes, preferences
from headrace.cascade.run import planned
from headrace.contracts.errors import ConfigError
from headrace.contracts.requests import Allowed
from headrace.data.preferences import PREFERENCES
from headrace.encode.preferences import slots_of
from headrace.methods.retrieve.mender import FEATURE
from tests.cascade.shop import write_rich_shop
from tests.llm.chat_server import completion, serving

MENDER = """
[ids]
levels = 2
codes = 3
[retrieve.mender]
dim = 8
layers = 1
heads = 2
hidden = 16
beams = 12
train = { epochs = 1 }
"""


def shop(folder, change=None) -> Pipeline:
    toml = write_rich_shop(folder)
    toml.write_text(toml.read_text().replace("k = 12\n", 'k = 12\nuse = ["popularity", "mender"]\n') + MENDER)
    if change is not None:
        change(toml)
    return planned(toml, folder / "run")


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory) -> Pipeline:
    return shop(tmp_path_factory.mktemp("wishes"))


def wishes_of(pipeline: Pipeline, cut_us: int):
    vectors = pipeline.need_item_vectors("the test")
    return preferences(pipeline.graph, pipeline.tables, pipeline.log, vectors, cut_us)


def test_states_are_of_what_came_before_the_cut_and_nothing_of_them_hangs_on_later_cuts(pipeline):
    cuts = pipeline.cuts
    early, late = (load_wishes(wishes_of(pipeline, cut)) for cut in (cuts.valid_us, cuts.test_us))
    assert early.opinions.events.at_us.max() < cuts.valid_us < late.opinions.events.at_us.max() < cuts.test_us
    users, at_us = early.opinions.events.rows().astype(np.int32), early.opinions.events.at_us
    first, second = (
        [[one.preferences.texts[place] if place >= 0 else "" for place in row] for row in one.preferences.as_of(users, at_us)]
        for one in (early, late)
    )
    assert first == second
    assert sum(map(len, first)) > len(first)
    assert early.preferences.table(pipeline.log.users).schema == PREFERENCES.schema()


def test_an_instruction_has_the_vector_of_a_users_own_words(pipeline):
    artifact = wishes_of(pipeline, pipeline.cuts.test_us)
    assert artifact.manifest.personal
    pool = load_wishes(artifact).pool
    encoder = load_text_encoder(pipeline.need_item_vectors("the test"))
    assert pool.texts[0].startswith("Find ")
    words = slots_of(["please show me " + pool.texts[0].removeprefix("Find ")], encoder)[0, 0]
    assert words[:-1].any()
    assert pool.slots[0] == pytest.approx(words, abs=1e-6)


def test_mender_is_a_retriever_like_any_other_and_hears_a_preference(pipeline):
    model = pipeline.load_retriever("mender", final=False)
    requests, _ = pipeline.requests(pipeline.cuts.valid_us, pipeline.cuts.test_us, 8)
    slots = slots_of(["half 0"] * len(requests), load_text_encoder(pipeline.need_item_vectors("the test")))
    plain = model.retrieve(requests, 5, Allowed())
    asked = type(requests)(requests.ids, requests.users, requests.at_us, requests.history, {FEATURE: slots})
    told = model.retrieve(asked, 5, Allowed())
    assert plain.there.any(1).all()
    assert not np.array_equal(plain.scores["mender"], told.scores["mender"])


def test_a_split_by_steps_has_no_moments_to_read_wishes_at(tmp_path):
    def by_steps(toml):
        toml.write_text(toml.read_text().replace("count_days = [2, 7]\n", "") + '[split]\nkind = "leave_last"\n')

    made = shop(tmp_path, by_steps)
    with pytest.raises(ConfigError, match="needs times"):
        made.retriever("mender", final=False)


WRITTEN = """
[preferences]
states = 30
[preferences.model]
backend = "server"
[preferences.model.server]
base_url = "{url}"
model = "m"
"""


def test_a_model_writes_them_where_the_plan_names_one_and_is_asked_once(tmp_path):
    """A real server, half of whose answers can't be used: none is guessed."""

    def reply(body):
        newest = body["messages"][-1]["content"].rsplit("made of ", 1)[-1]
        text = "Find glass things" if newest.startswith("glass") else "glass"
        return completion(json.dumps({"instructions": [{"polarity": "find", "text": text}]}))

    with serving(reply) as server:
        written = WRITTEN.format(url=server.url)

        def change(toml):
            toml.write_text(toml.read_text() + written)

        pipeline = shop(tmp_path, change)
        vectors, by = pipeline.need_item_vectors("the test"), pipeline.plan.preferences
        made = preferences(pipeline.graph, pipeline.tables, pipeline.log, vectors, pipeline.cuts.test_us, by)
        asked = len(server.asked)
        shutil.rmtree(made.path)
        graph = Graph(pipeline.graph.store)
        again = preferences(graph, pipeline.tables, pipeline.log, vectors, pipeline.cuts.test_us, by)
        assert len(server.asked) == asked, "kept answers are not paid for twice"
    told = again.manifest.metrics
    assert told == made.manifest.metrics
    assert 0 < told["unparsed"] < told["asked"] <= 30
    assert load_wishes(again).preferences.texts == ("Find glass things",)
    assert made.key != wishes_of(pipeline, pipeline.cuts.test_us).key, "templates are another artifact"


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("[preferences]\nstates = 5", r"there is no \[preferences.model\]"),
        ('[preferences]\nstate = 5\n[preferences.model]\nbackend = "local"', 'Did you mean "states"'),
        ('[preferences.model]\nbackend = "locale"', "backend"),
        ('[preferences.model]\nbackend = "local"\n[preferences.limits]\nmax_cost = 1.0', "no prices"),
    ],
)
def test_mistakes_in_the_section_are_named(tmp_path, section, says):
    with pytest.raises(ConfigError, match=says):
        shop(tmp_path, lambda toml: toml.write_text(toml.read_text() + section + "\n"))
