from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from headrace.contracts.config import parse
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.explaining import Summarising
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Requests
from headrace.contracts.training import TrainConfig
from headrace.data.rank_inputs import USERS, user_batch
from headrace.data.summaries import Summaries
from headrace.encode.reading.poly import mean_entropy
from headrace.encode.reading.reader import ReaderConfig
from headrace.methods.rank.spar import SPAR, SPARConfig
from headrace.nn.seeded import seeded
from headrace.serve.scorers.accelerate import SCORE, USER, ScorerSessions
from headrace.serve.scorers.export import export_score, export_user
from headrace.testing import check_batches, check_objective, check_scorer
from headrace.testing.examples import HOUR_US, history_of, some_candidates, some_requests
from headrace.train.trainer import train
from tests.encode.reading.scorers import READER, SILENT, TEXTS
from tests.encode.reading.tiny_encoders import MAKERS
from tests.methods.examples import featured, inputs

SMALL = SPARConfig(
    reader=READER, side_dim=4, history=5, width=4, batch_size=8, session=2, user_vectors=3, window=6, share=0.2, summary_tokens=7
)
WRITTEN = Summaries(("", *(f"likes a kettle and {number} cups of iron" if number % 3 else "" for number in range(1, 30))), "toy")
ARMS: dict[str, dict[str, Any]] = {
    "whole": {}, "dense": {"window": 0, "starts": False, "share": 0.0}, "no uhs": {"uhs": False}, "no uie": {"uie": False},
    "no uhs nor uie": {"uhs": False, "uie": False}, "no ccs": {"ccs": False, "vectors": 1}, "items alone": {"session": 1},
    "one pass": {"session": 5}, "written": {"summary": "written"}, "summary alone": {"summary": "alone"},
    "frozen": {"reader": replace(READER, frozen=True)}, "probabilities": {"loss": "pointwise"},
}  # fmt: skip


def learned(lists=None, settings=SMALL, texts=TEXTS):
    interactions, artifacts = featured(lists, {})
    model = SPAR(settings)
    with seeded(0, "init"):
        made = model.learn(interactions, {**artifacts, "item_texts": texts, "summaries": WRITTEN})
    return model, made, artifacts["candidate_lists"]


def arm(**more):
    return replace(SMALL, **more)


@pytest.mark.parametrize("more", ARMS.values(), ids=ARMS)
def test_contract(more):
    model, made, lists = learned(settings=arm(**more))
    check_batches(made.batches)
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])
    check_scorer(model, *inputs(model, lists))


@pytest.mark.parametrize("more", [one for name, one in ARMS.items() if name != "frozen"])
def test_every_weight_of_an_arm_gets_a_gradient_and_the_reader_too(more):
    model, _, lists = learned(settings=arm(**more))
    user, candidates = inputs(model.train(), lists)
    model.score(model.user(user), candidates).logits["choice"].square().sum().backward()
    assert {name for name, one in model.named_parameters() if one.grad is None or not one.grad.any()} == set()


@torch.no_grad()
def test_one_user_by_hand():
    """UHS, UIE and CCS as their formulas say, a code at a time."""
    model, _, _ = learned(settings=arm(history=3, window=0, share=0.0))
    model.eval()
    batch = {"history": torch.tensor([[4, 9, 0]])}
    ids = [model.tokens[item][model.tokens[item] > 0].long() for item in (4, 9)]
    together = torch.cat(ids).unsqueeze(0)
    states = model.reader.states(together, together > 0)[0]

    def asked(poly, code, read):
        logits = (read @ poly.map.weight.T).tanh() @ poly.codes[code]
        return logits.softmax(0) @ read

    starts = states[[0, len(ids[0])]]
    told = torch.stack([asked(model.summarise, code, starts) for code in range(2)])
    wanted = torch.stack([asked(model.extract, code, told) for code in range(3)]) @ model.out_user.weight.T
    assert_close(model.user(batch)["side"][0], wanted, rtol=1e-4, atol=1e-6)
    own = model.reader.states(ids[0].unsqueeze(0), ids[0].unsqueeze(0) > 0)[0]
    content = torch.stack([asked(model.content, code, own) for code in range(2)]) @ model.out_item.weight.T
    assert_close(model.sides[4], content, rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_the_mask_is_drawn_in_training_and_stays_in_evaluation():
    model, _, lists = learned(settings=arm(reader=replace(READER, dropout=0.0), share=0.5, window=1, starts=False))
    user = inputs(model, lists)[0]
    with seeded(0, "draw"):
        first, second = (model.train().user(user)["side"] for _ in range(2))
    assert not torch.allclose(first, second)
    fixed = model.eval().user(user)["side"]
    assert fixed.equal(model.user(user)["side"])
    assert fixed.equal(SPAR.from_arrays(model.config, model.arrays()).eval().user(user)["side"]), "and is stored"


@torch.no_grad()
def test_sparse_codes_read_fewer_tokens():
    sparse, _, lists = learned(settings=arm(window=3, starts=False, share=0.0))
    dense, _, _ = learned(settings=arm(**ARMS["dense"]))
    user = inputs(sparse, lists)[0]
    weights = sparse.eval().attention(user)
    assert ((weights > 0).sum(-1) <= 3).all()
    assert mean_entropy(weights) < mean_entropy(dense.eval().attention(user))


@torch.no_grad()
@pytest.mark.parametrize("more", ARMS.values(), ids=ARMS)
def test_users_with_no_one_and_very_many_events(more):
    """What comes out of order is sorted by the history's own store: a request carries its past oldest first."""
    model, _, lists = learned(settings=arm(**more))
    candidates = {name: values[:5] for name, values in inputs(model.eval(), lists)[1].items()}
    long = np.random.default_rng(0).integers(1, 20, 100_000).tolist()
    requests = requests_of([[], [3], [SILENT], long, long[-5:]])
    batch = user_batch(requests, model.schema)
    state = model.user(batch)
    assert all(one.isfinite().all() for one in (state["side"], model.score(state, candidates).logits["choice"]))
    if model.reads_users:
        batch[USERS] = torch.zeros(5, dtype=torch.int64)
        state = model.user(batch)
    assert not state["side"][[0, 2]].any(), "an item without a word says as much as none"
    assert_close(state["side"][3], state["side"][4])
    if model.config.summary != "alone":
        assert state["side"][1].any()


@torch.no_grad()
@pytest.mark.parametrize("how", ["written", "alone"])
def test_a_summary_is_read_and_can_be_told(how):
    model, _, _ = learned(settings=arm(summary=how, summary_tokens=40))
    model.eval()
    requests = requests_of([[4, 9]] * 4)
    requests = replace(requests, users=np.array([1, 2, 3, 99], np.int32))
    told: Summarising = model
    assert told.summaries_of(requests) == [WRITTEN.texts[1], WRITTEN.texts[2], "", ""]
    sides = model.user(user_batch(requests, model.schema))["side"]
    assert not torch.allclose(sides[0], sides[1])
    assert_close(sides[2], sides[3]), "a user who came since has none"
    assert not torch.allclose(sides[0], sides[2])
    plain, _, _ = learned()
    assert plain.summaries_of(requests) == [""] * 4
    assert USERS not in plain.schema


@pytest.mark.parametrize("name", ["written", "no uhs nor uie", "dense"])
def test_an_exported_ranker_is_the_eager_one(name, tmp_path):
    model, _, lists = learned(settings=arm(**ARMS[name]))
    model.eval()
    with torch.inference_mode():
        export_user(model, tmp_path / USER)
        export_score(model, tmp_path / SCORE)
    sessions = ScorerSessions(model, tmp_path)
    user, candidates = inputs(model, lists)
    user["history"][0] = 0
    with torch.inference_mode():
        eager = model.score(model.user(user), candidates).logits["choice"]
    assert_close(sessions.score(sessions.user(user), candidates).logits["score"], eager, rtol=1e-5, atol=1e-5)


def test_a_published_reader_takes_sessions_that_it_has_places_for(tmp_path):
    """It counts places; 24 of them, so three items of 8 tokens."""
    MAKERS["roberta"](tmp_path)
    reader = ReaderConfig(kind="hf", name=str(tmp_path), tokens=8, frozen=True)
    model, _, lists = learned(settings=arm(reader=reader, session=2, summary="written"))
    check_scorer(model, *inputs(model, lists))
    for more in ({"session": 4}, {"session": 1, "summary": "written", "summary_tokens": 40}):
        with pytest.raises(ConfigError, match=r"spar: the reader takes \d+ tokens at once"):
            learned(settings=arm(reader=reader, **more))


def test_it_learns_which_words_fit_which_users():
    """Users chose what says iron, or what says linen; of six candidates the one that says the same word was chosen."""
    lists, place, texts = lists_of_two_tastes()
    settings = arm(width=6, batch_size=50, beside=False, user_vectors=2, window=12)
    model, made, lists = learned(lists, settings, texts)
    train(made, TrainConfig(epochs=8, learning_rate=0.01, device="cpu"), seed=0, artifacts=dict.fromkeys(made.needs))
    with torch.no_grad():
        user, candidates = inputs(model.eval(), lists)
        best = model.score(model.user(user), candidates).logits["choice"].argmax(1)
    assert (best.numpy() == place).mean() > 0.95


def test_what_is_refused():
    with pytest.raises(ConfigError, match="Set vectors = 1"):
        parse(SPARConfig, {"ccs": False}, where="rank")
    with pytest.raises(ConfigError, match="is read by uie"):
        parse(SPARConfig, {"summary": "alone", "uie": False}, where="rank")
    interactions, artifacts = featured(None, {})
    with pytest.raises(DataError, match="none of 30 users has one"):
        SPAR(arm(summary="written")).learn(interactions, {**artifacts, "item_texts": TEXTS, "summaries": Summaries.none(30)})


def lists_of_two_tastes(n=200):
    draw = np.random.default_rng(0)
    texts = ("", *(f"{'iron' if i % 2 else 'linen'} {['cup', 'pot', 'pan'][i % 3]}" for i in range(1, 20)))
    taste = draw.integers(2, size=n)
    requests = some_requests(n, 5)
    past = [(2 * draw.integers(1, 9, size=4) + one).tolist() for one in taste]
    requests = replace(requests, history=history_of(past))
    candidates = some_candidates(requests, 20)
    items = 2 * draw.integers(1, 9, candidates.items.shape) + 1 - taste[:, None]
    place = draw.integers(items.shape[1], size=n)
    items[np.arange(n), place] = 2 * draw.integers(1, 9, n) + taste
    scores = {name: np.nan_to_num(score) for name, score in candidates.scores.items()}
    chosen = history_of(items[np.arange(n), place][:, None].tolist())
    return CandidateLists.of(requests, replace(candidates, items=items.astype(np.int32), scores=scores), chosen), place, texts


def requests_of(rows):
    ids = np.array([f"request-{number}" for number in range(len(rows))])
    at_us = np.full(len(rows), (max(map(len, rows)) + 2) * HOUR_US)
    return Requests(ids, np.arange(1, len(rows) + 1, dtype=np.int32), at_us, history_of(rows))
