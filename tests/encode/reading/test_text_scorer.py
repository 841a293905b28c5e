from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from headrace.contracts.config import parse
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.requests import Requests
from headrace.contracts.training import TrainConfig
from headrace.data.rank_inputs import user_batch
from headrace.encode.reading.text_scorer import TextConfig
from headrace.serve.scorers.accelerate import SCORE, USER, ScorerSessions
from headrace.serve.scorers.export import export_score, export_user
from headrace.testing import check_batches, check_objective, check_scorer
from headrace.testing.examples import HOUR_US, history_of
from headrace.train.trainer import train
from tests.encode.reading.scorers import READER, SILENT, SMALL, TEXTS, Plain, learned
from tests.methods.examples import inputs

FROZEN = replace(SMALL, reader=replace(READER, frozen=True))


@pytest.mark.parametrize(
    "settings",
    [SMALL, FROZEN, replace(SMALL, beside=False), replace(SMALL, loss="pointwise"), replace(SMALL, vectors=1)],
    ids=["plain", "frozen", "text alone", "pointwise", "one vector"],
)
def test_contract(settings):
    model, made, lists = learned(settings=settings)
    check_batches(made.batches)
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])
    check_scorer(model, *inputs(model, lists))


def test_the_table_is_a_fresh_reading_of_every_item():
    model, _, lists = trained(SMALL)
    ids = model.tokens.long()
    with torch.no_grad():
        model.user(inputs(model, lists)[0])
        fresh = model._item_side(ids, ids > 0)
    heard = (ids > 0).any(1)
    assert heard.sum() == 18
    assert_close(model.sides[heard], fresh[heard], rtol=1e-5, atol=1e-6)
    assert not model.sides[~heard].any()


@pytest.mark.parametrize("ema", [{}, {"ema_decay": 0.9, "keep_ema": True}], ids=["plain", "averaged"])
def test_the_table_that_is_stored_is_of_the_weights_that_are(ema):
    """Of the first epoch, that is, though the table was last worked out for the third, or for weights that were not averaged."""
    model, made, lists = learned()
    user, candidates = inputs(model, lists)
    seen = list[torch.Tensor]()

    def validate():
        seen.append(model.score(model.user(user), candidates).logits["choice"])
        return -len(seen)

    settings = TrainConfig(epochs=3, patience=5, learning_rate=0.01, device="cpu", **ema)
    train(made, settings, seed=0, artifacts=dict.fromkeys(made.needs), validate=validate)
    assert not torch.equal(seen[0], seen[2])
    copy = Plain.from_arrays(SMALL, model.arrays()).eval()
    ids = copy.tokens.long()
    with torch.no_grad():
        fresh = copy._item_side(ids, ids > 0) * (ids > 0).any(1).view(-1, 1, 1)
        assert_close(copy.sides, fresh, rtol=1e-5, atol=1e-6)
        assert_close(copy.score(copy.user(user), candidates).logits["choice"], seen[0])


@torch.no_grad()
@pytest.mark.parametrize("settings", [SMALL, FROZEN], ids=["trained", "frozen"])
def test_training_reads_tokens_and_evaluation_the_table_to_the_same_scores(settings):
    model, _, lists = learned(settings=replace(settings, reader=replace(settings.reader, dropout=0.0)))
    user, candidates = inputs(model, lists)
    looked_up = model.eval().score(model.user(user), candidates).logits["choice"]
    model.train()
    model.sides.fill_(torch.nan)
    assert_close(model.score(model.user(user), candidates).logits["choice"], looked_up, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_table_lasts_until_weights_may_move():
    model, _, lists = learned()
    user = inputs(model, lists)[0]

    def table():
        model.eval().user(user)
        return model.sides.clone()

    first = table()
    model.sides.zero_()
    assert not table().any(), "it is not worked out twice"
    model.train()
    assert_close(table(), first)
    model.train()
    model.out.weight.mul_(3)
    assert not torch.equal(moved := table(), first)
    weights = {**model.state_dict(), "out.weight": model.out.weight / 3}
    model.load_state_dict(weights)  # an earlier epoch's, beside the table of a later one
    assert_close(table(), first)
    assert not torch.equal(moved, first)


def test_a_frozen_reader_stays_as_it_is():
    model, _, _ = trained(FROZEN)
    first, _, _ = learned(settings=FROZEN)
    for name, values in model.reader.state_dict().items():
        assert_close(values, first.reader.state_dict()[name], rtol=0, atol=0)
    assert not torch.equal(model.out.weight, first.out.weight)
    moved, _, _ = trained(SMALL)
    assert any(not torch.equal(one, two) for one, two in zip(moved.reader.parameters(), first.reader.parameters(), strict=True))


@torch.no_grad()
def test_users_with_no_one_and_very_many_events():
    model, _, _ = learned()
    model.eval()
    long = np.random.default_rng(0).integers(1, 20, 100_000).tolist()
    requests = requests_of([[], [3], [SILENT], long, long[-5:]])
    sides = model.user(user_batch(requests, model.schema))["side"]
    assert sides.isfinite().all()
    assert not sides[0].any()
    assert not sides[2].any(), "an item without a word says as much as none"
    assert sides[1].any()
    assert_close(sides[3], sides[4])


@torch.no_grad()
def test_items_of_a_catalogue_that_has_grown_are_unknown():
    model, _, lists = learned(settings=replace(SMALL, beside=False))
    model.eval()
    user, candidates = inputs(model, lists)
    candidates["items"][:, 0] = 999
    user["history"][:, 0] = 999
    logits = model.score(model.user(user), candidates).logits["choice"]
    assert logits.isfinite().all()
    assert_close(logits[:, 0], model.bias.expand(len(logits)))


@pytest.mark.parametrize("settings", [SMALL, replace(SMALL, beside=False)], ids=["beside", "alone"])
def test_an_exported_ranker_is_the_eager_one(settings, tmp_path):
    model, _, lists = trained(settings)
    with torch.inference_mode():
        export_user(model, tmp_path / USER)
        export_score(model, tmp_path / SCORE)
    assert (tmp_path / SCORE).stat().st_size < 4_000, "candidates are looked up, no reader is in the file"
    sessions = ScorerSessions(model, tmp_path)
    user, candidates = inputs(model, lists)
    candidates["items"][0, 0] = 999
    with torch.inference_mode():
        eager = model.score(model.user(user), candidates).logits["choice"]
    assert_close(sessions.score(sessions.user(user), candidates).logits["score"], eager, rtol=1e-5, atol=1e-5)


def test_it_reads_back_where_nothing_of_its_source_is_left():
    model, _, lists = trained(SMALL)
    copy = Plain.from_arrays(SMALL, model.arrays())
    assert copy.reader.tokenise(TEXTS, 8).tolist() == model.reader.tokenise(TEXTS, 8).tolist()
    assert copy.reader.words(copy.tokens[3:4]) == model.reader.words(model.tokens[3:4])
    user, candidates = inputs(model, lists)
    copy.eval()
    with torch.no_grad():
        assert_close(
            copy.score(copy.user(user), candidates).logits["choice"], model.score(model.user(user), candidates).logits["choice"]
        )


def test_what_is_refused():
    with pytest.raises(DataError, match="None of 20 items has a title"):
        learned(texts=("",) * 20)
    with pytest.raises(DataError, match="3 texts came for 20 items"):
        learned(texts=("", "a", "b"))
    with pytest.raises(ConfigError, match="rankers that read texts have none"):
        parse(TextConfig, {"table": {}}, where="rank")
    with pytest.raises(ConfigError, match="have no head"):
        parse(TextConfig, {"loss": "pointwise", "perturb": {"at": "hidden"}}, where="rank")


def trained(settings):
    model, made, lists = learned(settings=settings)
    train(made, TrainConfig(epochs=1, learning_rate=0.01, device="cpu"), seed=0, artifacts=dict.fromkeys(made.needs))
    return model, made, lists


def requests_of(rows):
    ids = np.array([f"request-{number}" for number in range(len(rows))])
    at_us = np.full(len(rows), (max(map(len, rows)) + 2) * HOUR_US)
    return Requests(ids, np.arange(1, len(rows) + 1, dtype=np.int32), at_us, history_of(rows))
