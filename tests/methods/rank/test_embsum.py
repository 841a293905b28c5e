import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from headrace.contracts.errors import ConfigError
from headrace.contracts.explaining import Summarising
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Requests
from headrace.contracts.training import TrainConfig
from headrace.data.rank_inputs import USERS, user_batch
from headrace.data.summaries import Summaries
from headrace.data.summarised import SUMMARY
from headrace.encode.reading.reader import ReaderConfig
from headrace.methods.rank.embsum import EmbSum, EmbSumConfig, with_ends
from headrace.nn.seeded import seeded
from headrace.nn.summary_writer import last_states
from headrace.testing import check_batches, check_objective, check_scorer
from headrace.testing.examples import HOUR_US, history_of, some_candidates, some_lists
from headrace.train.trainer import train
from tests.encode.reading.scorers import READER, TEXTS
from tests.encode.reading.tiny_encoders import MAKERS
from tests.methods.examples import featured, inputs

SMALL = EmbSumConfig(
    reader=READER, side_dim=4, history=5, width=4, batch_size=8, user_vectors=3, session=2, decoder_dim=8, decoder_heads=2,
    decoder_layers=1, summary_tokens=6,
)  # fmt: skip
ALONE = replace(SMALL, summary_weight=0.0)


def said(n=20):
    """Every third user has no summary, nor has nobody."""
    return Summaries(tuple("" if user % 3 == 0 else f"likes {TEXTS[user % 20][2:7]}" for user in range(n)), "test")


def learned(settings=SMALL, lists=None, summaries=None, texts=TEXTS, sizes=None):
    interactions, artifacts = featured(lists, sizes or {})
    model = EmbSum(settings)
    with seeded(0, "init"):
        made = model.learn(interactions, {**artifacts, "item_texts": texts, "summaries": summaries or said()})
    return model, made, artifacts["candidate_lists"]


def asking(past):
    """A user for each history, from number 1 on."""
    users = np.arange(1, len(past) + 1, dtype=np.int32)
    return Requests(users.astype(str), users, np.full(len(past), HOUR_US), past)


def with_summary(made):
    batch = made.batches.epoch(0)[0]
    assert (batch[SUMMARY] > 0).any()
    return batch


@pytest.mark.parametrize(
    "more",
    [
        {}, {"h_sum": False}, {"at_serving": "decoded", "decoder_layers": 2}, {"loss": "pointwise", "vectors": 1},
        {"session": 5, "user_vectors": 1}, {"reader": replace(READER, frozen=True)}, {"beside": False},
    ],
    ids=["plain", "no h_sum", "decoded", "pointwise, no CPE", "no sessions", "frozen", "text alone"],
)  # fmt: skip
def test_contract(more):
    model, made, lists = learned(replace(SMALL, **more))
    check_batches(made.batches)
    check_objective(made.objectives[0], model, with_summary(made))
    check_scorer(model, *inputs(model, lists))
    assert made.weights == {SUMMARY: 0.05}
    assert isinstance(model, Summarising)


@pytest.mark.parametrize("more", [{}, {"h_sum": False}], ids=["h_sum", "no h_sum"])
def test_contract_without_a_summary_to_learn(more):
    model, made, lists = learned(replace(ALONE, **more))
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])
    check_scorer(model, *inputs(model, lists))
    assert made.weights == {}
    assert (model.writer is None) is not more.get("h_sum", True), "a decoder that nothing would move or read is not there"
    assert USERS not in model.schema
    assert model.summaries_of(lists.requests) == [""] * len(lists)


@pytest.mark.parametrize("kind", MAKERS)
def test_it_learns_to_write_in_the_words_of_any_encoder(kind, tmp_path):
    """One of which begins as it ends; read back without its folder it writes the same."""
    MAKERS[kind](tmp_path)
    model, made, lists = learned(replace(SMALL, reader=ReaderConfig(kind="hf", name=str(tmp_path), tokens=8)))
    check_objective(made.objectives[0], model, with_summary(made))
    shutil.rmtree(tmp_path)
    check_scorer(model, *inputs(model, lists))
    again = EmbSum.from_arrays(model.config, model.arrays()).eval()
    assert again.summaries_of(lists.requests) == model.eval().summaries_of(lists.requests)


def grads(model, losses):
    """Names of parameters that a loss moves."""
    model.zero_grad()
    losses.backward()
    return {name for name, one in model.named_parameters() if one.grad is not None and one.grad.any()}


def parts(names):
    return {name.split(".")[0] for name in names}


def test_what_each_loss_moves():
    """The choice leaves the decoder as it is where h_sum is not read, however the summary is weighed."""
    model, made, _ = learned(replace(SMALL, h_sum=False))
    batch = with_summary(made)
    choice = grads(model, made.objectives[0](model, batch, None)["choice"].mean)
    assert not any(name.startswith("writer") for name in choice)
    summary = parts(grads(model, made.objectives[0](model, batch, None)[SUMMARY].mean))
    assert summary == {"writer", "reader"}, "and the summary no more than the decoder and what it reads"

    model, made, _ = learned()
    assert parts(grads(model, made.objectives[0](model, batch, None)["choice"].mean)) >= {"writer", "reader", "to_global", "asks"}


def test_users_without_a_summary_have_no_say_in_it():
    model, made, _ = learned()
    model.eval()  # no draw of rows that read no word
    batch, objective = with_summary(made), made.objectives[0]
    told = (batch[SUMMARY] > 0).any(1)
    assert 0 < told.sum() < len(told)
    some = {name: values[told] for name, values in batch.items()}
    whole, kept = (objective(model, one, None)[SUMMARY] for one in (batch, some))
    assert whole.count == kept.count == told.sum()
    assert_close(whole.mean, kept.mean)
    none = {**batch, SUMMARY: torch.zeros_like(batch[SUMMARY])}
    found = objective(model, none, None)
    assert (found[SUMMARY].mean.item(), found[SUMMARY].count) == (0, 0)
    assert found["choice"].mean.isfinite()


def test_a_stored_ranker_holds_no_summary():
    model, _, _ = learned(summaries=Summaries(("", *["kettle kettle pot"] * 19), "test"))
    again, _, _ = learned(summaries=Summaries(("",) * 20, "none"))
    one, other = model.arrays(), again.arrays()
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)


@torch.no_grad()
def test_what_is_read_at_serving():
    """begin: the state that has read no word, which is the same with a summary and without. decoded: that of its own words."""
    model, made, _ = learned()
    model.eval()
    batch = with_summary(made)
    user = {name: batch[name] for name in model.schema}
    asked = model.user(user)["side"]
    assert_close(model.user(batch)["side"], asked, rtol=0, atol=0)
    memory = model.writer.memory(*(lambda read: (read.states, read.there))(model._read(batch["history"])))
    states = model.writer.read(batch[SUMMARY], *memory)
    assert_close(model._global(memory, None, user), states[:, 0], rtol=1e-5, atol=1e-5)

    model.config = replace(SMALL, at_serving="decoded")
    words, _ = model.writer.written(*memory, 6)
    summary = words.clone()
    ended = (words == 0).any(1)
    summary[ended, (words[ended] > 0).sum(1)] = model.reader.eos
    forced = last_states(model.writer.read(summary, *memory), summary)
    assert_close(model._global(memory, None, user), forced, rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_training_rows_reads_no_word(share):
    model, _, _ = learned(replace(SMALL, summary_dropout=share))
    told = torch.arange(400.0).view(200, 2, 1).expand(-1, -1, 8)
    with seeded(0, "drop"):
        found = model.train()._global((told, told), told, {SUMMARY: torch.ones(200, 2)})
    first = found[:, 0] % 2 == 0
    assert abs(first.float().mean() - share) <= (0.12 if share == 0.5 else 0)


@torch.no_grad()
@pytest.mark.parametrize("at_serving", ["begin", "decoded"])
def test_histories_of_none_one_and_a_hundred_thousand(at_serving):
    model, _, _ = learned(replace(SMALL, at_serving=at_serving))
    model.eval()
    long = np.random.default_rng(0).integers(1, 20, 100_000).tolist()
    past = history_of([[], [3], [25], long, long[-5:]])
    requests = asking(past)
    side = model.user(user_batch(requests, model.schema))["side"]
    assert side.isfinite().all()
    assert not side[0].any(), "who read nothing"
    assert not side[2].any(), "nor who read what came after the catalogue was read"
    assert_close(side[3], side[4], rtol=0, atol=1e-6)
    words = model.summaries_of(requests)
    assert [len(one) > 0 for one in words] == [False, words[1] != "", False, words[3] != "", words[3] != ""]
    assert words[3] == words[4]


def test_a_summary_ends_unless_it_is_cut():
    model, _, _ = learned()
    found = with_ends(model.reader, ("", "pot", "a kettle and a pot of iron and green"), 4)
    assert found[0].tolist() == [0] * 4
    length = (found[1] > 0).sum()
    assert found[1, length - 1] == model.reader.eos
    assert (found[2] > 0).all()
    assert model.reader.eos not in found[2]


KINDS = {
    "crime": ["a murder in the night", "the detective and a murder"],
    "love": ["a wedding of love", "her heart and a wedding"],
    "space": ["a rocket to the moon", "the moon and a rocket"],
    "home": ["a garden with roses", "roses round the garden"],
}


def planted(n=160):
    """Users of a kind read items of it; one candidate is of it, and their summary names it, but for a quarter of the users."""
    kinds, draw = list(KINDS), np.random.default_rng(0)
    texts = ("", *(KINDS[kinds[item % 4]][item // 4 % 2] for item in range(1, 20)))
    kind = draw.integers(4, size=n)
    of_kind = [np.array([item for item in range(1, 20) if item % 4 == k]) for k in range(4)]
    past = history_of([draw.choice(of_kind[k], 3).tolist() for k in kind])
    requests = asking(past)
    candidates = some_candidates(requests, 20)
    width, place = candidates.items.shape[1], draw.integers(4, size=n)
    items = np.stack([[draw.choice(of_kind[(k + c - p) % 4]) if c < 4 else 0 for c in range(width)]
                      for k, p in zip(kind, place, strict=True)]).astype(np.int32)  # fmt: skip
    scores = {name: np.where(items > 0, 0.0, np.nan) for name in candidates.scores}
    chosen = history_of(items[np.arange(n), place][:, None].tolist())
    lists = CandidateLists.of(requests, replace(candidates, items=items, scores=scores), chosen)
    wanted = [f"likes {kinds[k]}" for k in kind]
    known = [text if row % 4 else "" for row, text in enumerate(wanted)]
    return lists, texts, Summaries(("", *known), "planted"), place, wanted


def test_it_learns_what_is_chosen_and_what_to_say_of_it():
    """Words are learned of three users in four and written of all, exactly."""
    lists, texts, summaries, place, wanted = planted()
    reader = ReaderConfig(dim=16, heads=2, layers=1, vocabulary=330, tokens=8, dropout=0.0)
    settings = replace(
        SMALL, reader=reader, history=3, session=3, dropout=0.0, batch_size=32, decoder_dim=32, side_dim=8, summary_tokens=12,
        summary_weight=0.3,
    )  # fmt: skip
    model, made, lists = learned(settings, lists, summaries, texts)
    train(made, TrainConfig(epochs=8, learning_rate=0.01, device="cpu"), seed=0, artifacts=dict.fromkeys(made.needs))
    model.eval()
    with torch.no_grad():
        user, candidates = inputs(model, lists)
        best = model.score(model.user(user), candidates).logits["choice"].argmax(1)
    assert (best.numpy() == place).mean() > 0.95
    assert model.summaries_of(lists.requests) == wanted


def test_what_can_not_be_is_refused():
    with pytest.raises(ConfigError, match=r'at_serving = "decoded" .* summary_weight = 0'):
        EmbSumConfig(summary_weight=0.0, at_serving="decoded")
    with pytest.raises(ConfigError, match="decoder_dim = 10 is not a multiple of decoder_heads = 4"):
        EmbSumConfig(decoder_dim=10)
    with pytest.raises(ConfigError, match="a session is up to 528"):
        EmbSumConfig(reader=ReaderConfig(kind="minilm"), session=22)


def test_a_user_who_is_not_in_the_log_is_read_as_any_other():
    model, _, lists = learned(lists=some_lists())
    model.eval()
    known = user_batch(lists.requests, model.schema)
    strange = {**known, USERS: known[USERS] + 10_000}
    assert_close(model.user(strange)["side"], model.user(known)["side"], rtol=0, atol=0)
