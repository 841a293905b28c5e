"""What is handed on is what the upstream says, as of strictly before; who refuses has no part, and no label is read."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
import torch

from headrace.cascade import layer_search, shown
from headrace.cascade.foundation import read_foundation, write_foundation
from headrace.cascade.founding import founding
from headrace.cascade.layer_search import last_before, search
from headrace.cascade.run import open_run
from headrace.cascade.upstream import Upstream
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.progress import silent
from headrace.data.aggregator import ALWAYS, Decay
from headrace.data.rank_inputs import user_batch
from headrace.nn.interaction_block import InteractionBlock
from tests.cascade.upstream_shop import NO_PERSONALISING, NO_TRAINING, upstream_run

BY_TIME = Decay(by="time", half_life_days=3.0)
DAY = 86_400_000_000


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    return open_run(upstream_run(tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="module")
def made(pipeline):
    return founding(pipeline, Decay(), "CR1")


def logged(pipeline, user_id):
    """(moment, items by position) of each of a user's requests, in the order of time: read by other means."""
    tables = pipeline.tables.path
    asked = pl.read_parquet(tables / "requests.parquet").filter(pl.col("user_id") == user_id)
    rows = asked.join(pl.read_parquet(tables / "candidates.parquet").filter(pl.col("stage") == "shown"), on="request_id")
    rows = rows.sort("at", "position").with_columns(pl.col("at").dt.timestamp("us"))
    return [
        (one["at"][0], pipeline.log.items.encode(one["item_id"]))
        for one in rows.partition_by("request_id", maintain_order=True)
    ]  # fmt: skip


def by_hand(pipeline, user_id, layer, decay):
    """UR and the standardised sum after each of a user's requests, one at a time."""
    ranker = pipeline.scoring("rank").scorer
    number, total, last, found = pipeline.log.users.encode([user_id]), np.zeros(1), None, []
    for at_us, items in logged(pipeline, user_id):
        requests = pipeline.requests_of(number, np.array([at_us]))
        with torch.inference_mode():
            state = ranker.user(user_batch(requests, ranker.schema))
            crossed = ranker.extract(state, {"items": torch.from_numpy(items.astype(np.int64))[None]})[layer][0].double().numpy()
        for place, one in enumerate(crossed):
            gap = at_us - last if last is not None and place == 0 else 0
            total = one + total * (decay.per_sample if decay.by == "count" else 2 ** (-gap / (decay.half_life_days * DAY)))
        last = at_us
        found.append((at_us, np.concatenate([state["UR"][0].numpy(), (total - total.mean()) / total.std()])))
    return found


@pytest.mark.parametrize(("layer", "decay"), [("CR1", Decay()), ("CR2", BY_TIME)])
def test_a_users_states_are_those_of_each_request_one_at_a_time(pipeline, layer, decay):
    known, user_ids, _ = founding(pipeline, decay, layer)
    for user_id in ("c0", "c7"):
        number = np.array([user_ids.to_list().index(user_id) + 1], np.int32)
        wanted = by_hand(pipeline, user_id, layer, decay)
        assert not known.users_at(number, np.array([wanted[0][0]])).any(), "nothing strictly before the first"
        for at_us, state in wanted:
            np.testing.assert_allclose(known.users_at(number, np.array([at_us + 1]))[0], state, atol=2e-5)
        for (_, before), (at_us, _) in pairwise(wanted):
            np.testing.assert_allclose(known.users_at(number, np.array([at_us]))[0], before, atol=2e-5)


def test_what_comes_later_changes_nothing_that_is_known_before(pipeline, made, monkeypatch):
    """The log cut at a moment gives the same states up to it; beyond it, others."""
    upstream = Upstream.of(pipeline)
    cut_us = int(np.median(upstream.at_us))
    monkeypatch.setattr(Upstream, "of", lambda pipeline: upstream.only(upstream.at_us < cut_us))
    cut, whole = founding(pipeline, Decay(), "CR1"), made
    assert cut.user_ids.to_list() == whole.user_ids.to_list()
    users = np.arange(1, len(whole.user_ids) + 1, dtype=np.int32)
    for at_us, same in ((cut_us, True), (cut_us + 5 * DAY, False)):
        moments = np.full(len(users), at_us)
        one, other = (found.foundation.users_at(users, moments) for found in (cut, whole))
        assert np.array_equal(one, other) is same
        one, other = (found.foundation.items_at(at_us) for found in (cut, whole))
        assert np.array_equal(one, other) is same


def test_an_item_is_known_before_it_was_shown_by_itself_alone(pipeline, made):
    known, _, item_ids = made
    upstream = Upstream.of(pipeline)
    before, after = known.items_at(ALWAYS + 1), known.items_at(int(upstream.at_us.max()) + 1)
    own = upstream.of_items(np.arange(1, len(item_ids) + 1, dtype=np.int32))
    np.testing.assert_array_equal(before[1:], np.pad(own, ((0, 0), (0, 7))))
    np.testing.assert_allclose(after[1:, :3], own, atol=1e-6)
    assert (np.abs(after[1:, 3:]).sum(1) > 0).all()
    assert not before[0].any()


def test_who_refuses_has_no_state_and_no_part_in_any_other(pipeline, made):
    assert len(made.user_ids) == 78
    assert not {NO_TRAINING, NO_PERSONALISING} & set(made.user_ids)
    upstream = Upstream.of(pipeline)
    refused = pipeline.log.users.encode([NO_TRAINING, NO_PERSONALISING])
    assert (refused > 0).all()
    assert not np.isin(refused, upstream.users).any()
    assert len(logged(pipeline, NO_TRAINING)) == 14


def test_no_label_is_read_for_states(pipeline, monkeypatch):
    def refused(*given):
        raise AssertionError("labels")

    monkeypatch.setattr(shown, "labels_of", refused)
    monkeypatch.setattr(type(pipeline), "stopping", refused)
    monkeypatch.setattr(layer_search, "search", refused)
    assert len(founding(pipeline, Decay(), "CR0").user_ids) == 78


def test_it_survives_the_folder_and_another_starts_from_its_block(pipeline, made, tmp_path):
    write_foundation(tmp_path / "known", *made)
    read = read_foundation(tmp_path / "known")
    users = np.arange(1, 79, dtype=np.int32)
    moments = np.full(78, pipeline.cuts.last_us + 1)
    np.testing.assert_array_equal(read.foundation.users_at(users, moments), made.foundation.users_at(users, moments))
    assert read.foundation.trained_until_us == pipeline.cuts.test_us
    assert read.foundation.fields == {
        "user.city": ("category", 3), "item.categories": ("bag", 6), "history": ("events", 5),
    }  # fmt: skip
    assert read.schema["settings"]["tasks"] == ["look", "day"]
    block = InteractionBlock(**read.foundation.settings["block"])
    block.load_state_dict({name: torch.from_numpy(one) for name, one in read.foundation.block.items()})
    x = torch.randn(3, 7)
    assert block(x)[-1].equal(pipeline.scoring("rank").scorer.body.block(x)[-1])


def test_the_search_tells_of_every_layer_and_takes_the_best(pipeline):
    upstream = Upstream.of(pipeline)
    found = search(upstream, Decay(), silent)
    assert list(found.layers) == ["a constant", "IR", "UR", "CR0", "CR1", "CR2"]
    crossed = {name: one["log_loss"] for name, one in found.layers.items() if name.startswith("CR")}
    assert found.best == min(crossed, key=lambda name: crossed[name])
    assert found.layers[found.best]["behind"] == found.layers[found.best]["behind_se"] == 0
    assert found.layers["a constant"]["auc"] == 0.5
    lists = pipeline.stopping("rank")
    refused = np.isin(lists.requests.users, pipeline.log.users.encode([NO_PERSONALISING]))
    assert found.probed["fitted_on"] + found.probed["judged_on"] == lists.known[~refused].sum()


def test_a_layer_that_knows_the_answer_is_found(pipeline, monkeypatch):
    """Planted: states of CR1 that say what will come of each impression; the others say nothing."""

    def planted(upstream, asked, decay, progress):
        noise = np.random.default_rng(0).normal(size=(len(asked.users), 3)).astype(np.float32)
        told = noise + 3 * asked.label[:, None].astype(np.float32)
        return {"UR": noise, "CR0": noise[::-1], "CR1": told, "CR2": noise * 0}

    monkeypatch.setattr(layer_search, "_as_of", planted)
    found = search(Upstream.of(pipeline), Decay(), silent)
    assert found.best == "CR1"
    assert found.layers["CR0"]["behind"] > 2 * found.layers["CR0"]["behind_se"]
    assert found.layers["CR1"]["auc"] > 0.9


def test_probes_read_states_of_strictly_before(pipeline):
    """What the search reads of a user before a request is what the folder says as of that moment."""
    upstream = Upstream.of(pipeline)
    asked = layer_search._asked(upstream)
    found = layer_search._as_of(upstream, asked, BY_TIME, silent)
    known, user_ids, _ = founding(pipeline, BY_TIME, "CR2")
    numbers = {user: number for number, user in enumerate(user_ids, 1)}
    users = np.array([numbers[user] for user in pipeline.log.users.decode(asked.users)], np.int32)
    wanted = known.users_at(users, asked.at_us)
    np.testing.assert_allclose(np.concatenate([found["UR"], found["CR2"]], 1), wanted, atol=2e-5)


def test_last_before():
    users, at_us = np.array([2, 1, 2, 2], np.int32), np.array([1, 2, 3, 3])
    found = last_before(users, at_us, np.array([2, 2, 2, 1, 1, 0, 9], np.int32), np.array([1, 3, 4, 2, 3, 9, 9]))
    assert found.tolist() == [-1, 0, 3, -1, 1, -1, -1]


def test_mistakes(pipeline, built, monkeypatch):
    with pytest.raises(ConfigError, match='"dcnv2" keeps nothing that can be handed on'):
        founding(open_run(built), Decay())
    with pytest.raises(ConfigError, match='--layer "CR9" is none of this upstream. Did you mean "CR'):
        founding(pipeline, Decay(), "CR9")
    nobody = Upstream.of(pipeline)
    monkeypatch.setattr("headrace.cascade.upstream._shown", lambda pipeline: pl.DataFrame({"user_id": []}))
    with pytest.raises(DataError, match="shows nothing to anybody"):
        founding(pipeline, Decay())
    asked = layer_search._asked(nobody)
    monkeypatch.setattr(layer_search, "_asked", lambda upstream: replace(asked, label=asked.label * 0))
    with pytest.raises(DataError, match="0 of them positive"):
        search(nobody, Decay(), silent)
