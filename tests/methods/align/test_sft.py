"""The loss of packed chats is that of each alone; what learns, and is kept, is the adapter."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.testing import assert_close

from headrace.contracts.chat import Message
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.seams import Services
from headrace.contracts.training import TrainConfig
from headrace.llm.lora import LoraConfig
from headrace.llm.templated import Template
from headrace.methods.align.sft import Sft, SftConfig, rows_of
from headrace.objectives.spoken import SpokenTokens
from headrace.testing import check_batches, check_objective, tiny_llama
from headrace.testing.tiny_llama import tiny
from headrace.train.trainer import train
from tests.llm.tiny_causal import logits, moved

ASKED = ["Is tea hot?", "Why?", "Tea or coffee, and when?", "x", "Is ice hot?", "tea tea tea"]
CHATS = [[Message("user", asked), Message("assistant", "tea" if place % 2 else "hot tea")] for place, asked in enumerate(ASKED)]
CHATS.append([*CHATS[0], Message("user", "And?"), Message("assistant", "hot")])
SMALL = SftConfig(lora=LoraConfig(rank=2), length=160, rows=2, train=TrainConfig(epochs=2, learning_rate=0.01, device="cpu"))


def alone(model, chat):
    """-log p of each learned token of one chat in a row of its own, without a mask of ours."""
    said = Template(tiny_llama.tokenizer()).spoken(chat)
    ids = torch.tensor(said.ids[None].astype("int64"))
    with torch.no_grad():
        found = model(input_ids=ids).logits[0, :-1]
    nll = cross_entropy(found, ids[0, 1:], reduction="none")
    return nll[torch.from_numpy(said.learned[1:])]


def test_packed_losses_are_those_alone():
    read = tiny()
    adapter = moved(read)
    batches = rows_of(read, CHATS, SMALL, seed=0).epoch(0)
    seen = 0
    for batch in batches:
        wanted = batch["targets"] >= 0
        with torch.no_grad():
            found = adapter(batch["ids"], batch["positions"], batch["documents"], wanted)
        nll = cross_entropy(found, batch["targets"][wanted], reduction="none")
        documents = batch["documents"][wanted]
        assert len(documents.unique()) > 1, "several to a row"
        for document in documents.unique().tolist():
            assert_close(nll[documents == document], alone(read.model, CHATS[document]), atol=1e-4, rtol=0)
            seen += 1
    assert seen == len(CHATS)
    assert len(batches) < len(CHATS) / 2


def test_contracts():
    read = tiny()
    rows = rows_of(read, CHATS * 3, SMALL, seed=0)
    check_batches(rows)
    check_objective(SpokenTokens(), moved(read), rows.epoch(0)[0])


def test_the_objective_is_the_mean_over_marked_tokens():
    read = tiny()
    adapter = moved(read)
    batch = rows_of(read, CHATS, SMALL, seed=0).epoch(0)[0]
    loss = SpokenTokens()(adapter, batch, Services({}, torch.Generator()))["next_token"]
    of = batch["documents"][batch["targets"] >= 0].unique().tolist()
    each = torch.cat([alone(read.model, CHATS[document]) for document in of])
    assert_close(loss.mean.detach(), each.mean(), atol=1e-4, rtol=0)
    assert loss.count == len(each)


def learned_of(accumulate, rows, seed=0):
    read = tiny()
    settings = SftConfig(lora=LoraConfig(rank=2, dropout=0.0), length=80, rows=rows)
    sft = Sft(settings, seed=seed)
    learned = sft.learn(read, CHATS)
    train(learned, TrainConfig(epochs=1, learning_rate=0.01, device="cpu", accumulate=accumulate), seed=0)
    return sft.adapter.state_dict()


def test_accumulated_steps_are_the_whole_batch_s():
    """Rows have unequal numbers of learned tokens, so a mean of the micro-batches' means would be another step."""
    whole, cut = learned_of(1, 100), learned_of(100, 1)
    for name, value in whole.items():
        assert_close(cut[name], value, atol=1e-5, rtol=1e-3)  # Adam divides by the root of small squares


def test_it_learns_what_is_said_and_leaves_the_base_alone():
    read = tiny()
    before = logits(read.model)
    sft = Sft(SMALL, seed=0)
    result = train(sft.learn(read, CHATS * 4), SMALL.train, seed=0)
    assert result.curve[1]["next_token"] < result.curve[0]["next_token"] - 1
    assert logits(sft.adapter.taken_off()).equal(before)


@pytest.mark.parametrize("weights", [torch.float32, torch.bfloat16])
def test_it_learns_in_bfloat16_too(weights):
    read = tiny()
    read.model.to(weights)
    asked = replace(SMALL.train, precision="bfloat16")
    result = train(Sft(SMALL, seed=0).learn(read, CHATS * 4), asked, seed=0)
    assert result.curve[1]["next_token"] < result.curve[0]["next_token"] - 1


def test_an_average_of_the_adapter_can_be_kept():
    asked = replace(SMALL.train, ema_decay=0.5, keep_ema=True)
    sft = Sft(SMALL, seed=0)
    train(sft.learn(tiny(), CHATS * 4), asked, seed=0)
    kept = sft.adapter.state_dict()
    newest = Sft(SMALL, seed=0)
    train(newest.learn(tiny(), CHATS * 4), SMALL.train, seed=0)
    assert kept.keys() == newest.adapter.state_dict().keys()
    assert not all(value.equal(kept[name]) for name, value in newest.adapter.state_dict().items())


def test_sharding_is_refused():
    with pytest.raises(ConfigError, match="train.shard would cut"):
        Sft(replace(SMALL, train=replace(SMALL.train, shard=True))).learn(tiny(), CHATS)


def test_a_chat_that_can_not_be_learned_from_is_named():
    with pytest.raises(DataError, match="chat 1: the assistant says nothing"):
        rows_of(tiny(), [CHATS[0], CHATS[1][:1]], SMALL, seed=0)
    with pytest.raises(DataError, match="no chat"):
        rows_of(tiny(), [], SMALL, seed=0)
    with pytest.raises(DataError, match="longer than a row of 20 tokens; the first is number 0"):
        rows_of(tiny(), CHATS, SftConfig(length=20), seed=0)


def test_rows_longer_than_the_model_sees_are_refused():
    with pytest.raises(ConfigError, match="length is 512, and tiny sees 256 tokens"):
        Sft(SftConfig()).learn(tiny(), CHATS)
