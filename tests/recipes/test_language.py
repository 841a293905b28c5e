import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from headrace.contracts.errors import ConfigError
from headrace.data import documents
from headrace.data.token_rows import TokenRows
from headrace.data.tokens import Tokens
from headrace.nn.attention.masks import MaskSpec, Window
from headrace.nn.body.call import Inputs
from headrace.nn.body.config import RoutingConfig, TransformerConfig
from headrace.recipes import language
from headrace.recipes.language import First, TextConfig, fitted, made_up, open_text, row_losses, rows_of
from headrace.testing.transformer import made
from headrace.text.tokenizer import TokenizerConfig
from headrace.train.step import NotFinite

OF = TransformerConfig(dim=8, decoder_layers=1, heads=1)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return open_text(TextConfig(), tmp_path_factory.mktemp("text"))


def tried(text, **more):
    asked = {"rate": 1e-2, "tokens": 20 * 4 * 16, "rows": 4, "length": 16, "seed": 0, **more}
    return fitted(text, asked.pop("of", OF), **asked)


def counted(n=103):
    return Tokens(np.arange(n, dtype=np.int32), np.array([0, n], np.int64))


def test_a_corpus_is_read_once_and_its_tokenizer_learns_from_training_text_alone(tmp_path, monkeypatch):
    said = {"train": ["aba aba aba"] * 9, "valid": ["xyxy xyxy xyxy xyxy"] * 99, "test": ["zz"]}
    monkeypatch.setattr(language, "documents", lambda corpus, split, locale: said[split])
    monkeypatch.setattr(language, "corpus_digest", lambda corpus: "texts of today")
    asked = TextConfig(corpus="sst2", tokenizer=TokenizerConfig(size=263))
    language.open_text.cache_clear()
    read = open_text(asked, tmp_path)
    learned = [read.tokenizer.token(number) for number in range(261, read.tokenizer.size)]
    assert learned
    assert not any(letter in piece for piece in learned for letter in "xyz")
    assert [len(part) for part in (read.train, read.valid, read.test)] == [9, 99, 1]
    assert read.tokenizer.decode(read.test) == ["zz"]

    def gone(*_args, **_kwargs):
        raise AssertionError("read again")

    language.open_text.cache_clear()
    monkeypatch.setattr(language, "documents", gone)
    again = open_text(asked, tmp_path)
    assert again.train.ids.tolist() == read.train.ids.tolist()
    assert again.digest == read.digest
    language.open_text.cache_clear()
    monkeypatch.setattr(language, "corpus_digest", lambda corpus: "other texts")
    with pytest.raises(AssertionError, match="read again"):
        open_text(asked, tmp_path)
    language.open_text.cache_clear()


def test_training_text_is_drawn_and_cut(monkeypatch):
    said = [f"{number:03}" for number in range(200)]
    monkeypatch.setattr(language, "documents", lambda corpus, split, locale: said)
    kept = language._said(TextConfig(corpus="sst2", most=30), "train")
    assert 9 <= len(kept) <= 11
    assert kept != sorted(kept), "not the first ones"
    assert language._said(TextConfig(corpus="sst2", most=30), "valid") == said


def test_the_default_corpora_are_names_of_documents():
    assert set(documents.CORPORA) >= {"imdb-reviews", "multi30k", "sst2"}


def test_made_up_text_comes_back_to_its_subject():
    said = made_up(30, "train")
    assert len(said) == 30
    assert said == made_up(30, "train") != made_up(30, "valid")
    assert all(len({sentence.split()[1] for sentence in one.split(". ")}) == 1 for one in said)


def test_the_first_batches_go_across_epochs_in_equal_parts():
    rows = TokenRows(counted(), length=8, batch_size=3, seed=0)
    sizes = [len(rows.epoch(number)) for number in range(5)]
    whole = [batch["ids"] for number in range(5) for batch in rows.epoch(number)]
    first = First(rows, sizes[0] + 4)
    assert len(first.epoch(0)) == len(list(first.epoch(0))) == sizes[0] + 4
    assert all(batch["ids"].equal(wanted) for batch, wanted in zip(first.epoch(0), whole, strict=False))
    parts = First(rows, 9, 3)
    found = [batch["ids"] for part in range(3) for batch in parts.epoch(part)]
    assert len(found) == 9
    assert all(one.equal(wanted) for one, wanted in zip(found, whole, strict=False))


def test_a_body_learns_the_text_and_the_seed_decides(text):
    rows = rows_of(text.test, 16, most=40)
    loss = {steps: row_losses(tried(text, tokens=steps * 4 * 16), rows).mean() for steps in (1, 60)}
    assert loss[60] < 0.8 * loss[1], "spec of a smoke run: a fall of 20%"
    state = [tried(text, seed=seed).embedding.tokens.weight for seed in (0, 0, 1)]
    assert state[0].equal(state[1])
    assert not state[0].equal(state[2])


def test_arms_read_the_same_rows_from_the_same_first_weights(text, monkeypatch):
    seen = []

    def noted(learned, config, **_more):
        seen.append((learned, config))

    monkeypatch.setattr(language, "train", noted)
    tried(text)
    tried(text, of=TransformerConfig(dim=8, decoder_layers=1, heads=1, norm_place="post"))
    (one, config), (other, _) = seen
    assert [len(learned.batches) for learned in (one, other)] == [20, 20]
    for mine, theirs in zip(one.batches, other.batches, strict=True):
        assert mine["ids"].equal(theirs["ids"])
    theirs = other.module.state_dict()
    assert all(theirs[name].equal(values) for name, values in one.module.state_dict().items() if name in theirs)
    assert (config.schedule, config.warmup_steps, config.weight_decay, config.beta2) == ("linear", 1, 0.0, 0.98)
    assert one.module.of.vocabulary == text.tokenizer.size


def test_a_run_is_looked_at_part_by_part_and_keeps_its_last_weights(text):
    seen = []
    body = tried(text, parts=4, watch=lambda body: seen.append(body.embedding.tokens.weight.clone()))
    assert len(seen) == 4
    assert seen[-1].equal(body.embedding.tokens.weight)
    assert body.embedding.tokens.weight.equal(tried(text).embedding.tokens.weight), "looking changes nothing"
    assert not body.training


def test_experts_and_other_optimizers_are_asked_for(text):
    routed = TransformerConfig(dim=8, decoder_layers=1, heads=1, routing=RoutingConfig(experts=4))
    body = tried(text, of=routed, balance=0.01, tokens=2 * 4 * 16)
    assert row_losses(body, rows_of(text.test, 16, most=3)).shape == (3,)
    made_by = []

    def maker(module, config):
        made_by.append(config.learning_rate)
        return torch.optim.SGD(module.parameters(), lr=config.learning_rate)

    tried(text, maker=maker, tokens=2 * 4 * 16)
    assert made_by == [1e-2]


def test_divergence_alone_is_divergence(text):
    with pytest.raises(NotFinite):
        tried(text, rate=1e30, clip_norm=0.0)
    with pytest.raises(ConfigError):
        tried(text, optimizer="no such one")


def test_rows_are_whole_drawn_and_apart():
    rows = rows_of(counted(), 8, most=5)
    assert rows.shape == (5, 9)
    assert rows.equal(rows[:, :1] + torch.arange(9))
    assert set(rows[:, 0].tolist()) < set(range(0, 96, 8))
    assert len(rows_of(counted(), 8, most=99)) == 12
    assert not rows.equal(rows_of(counted(), 8, most=5, seed=1))


@torch.no_grad()
def test_losses_of_rows_are_means_over_their_positions():
    body = made(TransformerConfig(dim=8, decoder_layers=1, heads=1, vocabulary=103))
    rows = rows_of(counted(), 8, most=7)
    each = cross_entropy(body.logits(body(Inputs(ids=rows[:, :-1])).last).transpose(1, 2), rows[:, 1:], reduction="none").numpy()
    for at_once in (1, 20, 10_000):
        assert row_losses(body, rows, at_once=at_once) == pytest.approx(each.mean(1), rel=1e-5)
    assert row_losses(body, rows, last=3) == pytest.approx(each[:, -3:].mean(1), rel=1e-5)
    assert row_losses(body, rows, mask=MaskSpec(Window(2)))[0] != pytest.approx(each.mean(1)[0], rel=1e-5)
