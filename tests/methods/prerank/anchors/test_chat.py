"""Interests in words, found among the catalogue's by what they mean; the model is a script, and once a real one."""

import json
import re
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from headrace.contracts.chat import BudgetReached
from headrace.contracts.config import as_dict, parse
from headrace.contracts.errors import ConfigError, DataError
from headrace.encode.semantic_ids.ids import told_apart
from headrace.encode.tfidf import Tfidf, TfidfConfig
from headrace.llm.backend import Said
from headrace.methods.prerank.anchors import ANCHOR_WRITERS, chat
from headrace.methods.prerank.anchors.chat import ANSWERS, ChatWriter, ChatWriterConfig
from headrace.methods.prerank.anchors.writer import AnchorWriter, Asking
from headrace.testing.chat import Scripted
from headrace.testing.examples import history_of, interactions_of
from tests.llm.smollm_files import needs_smollm, smollm_file

KINDS = ("green tea leaf", "road bike wheel", "winter wool jersey")
TEXTS = ["", *[f"{KINDS[item % 3]} {'large' if item // 3 % 2 else 'small'}" for item in range(1, 13)]]
CONFIG = ChatWriterConfig(model={"backend": "local"}, newest=3)
TEA, BIKE, WOOL = 0, 1, 2


def ids_of(without=()):
    items = np.arange(13)
    codes = np.stack([items % 3, items // 3 % 2], 1).astype(np.int32)
    codes[[0, *without]] = -1
    return told_apart(codes, (3, 2))


def fitted(settings=CONFIG, available=None):
    encoder = Tfidf(TfidfConfig(dim=8))
    encoder.fit(TEXTS[1:], np.zeros(12, np.int64), 1)
    vectors = np.zeros((13, 8), np.float32)
    vectors[1:] = encoder.encode(TEXTS[1:], "item")
    interactions = interactions_of([[1, 2, 3], [4, 5]], 13)
    if available is not None:
        interactions.available[:] = np.isin(np.arange(13), available)
    writer = ChatWriter(settings)
    writer.fit(interactions, {"semantic_ids": ids_of(), "item_vectors": vectors, "item_texts": TEXTS, "text_encoder": encoder})
    return writer


@pytest.fixture
def says(monkeypatch):
    """says(script, log_prob=...) -> the backend that is opened from now on."""

    def use(script, **more):
        backend = Scripted(script, **more)

        @contextmanager
        def opened(_):
            yield backend

        monkeypatch.setattr(chat, "opened", opened)
        return backend

    return use


def words(*wants):
    return json.dumps({"wants": list(wants)})


def test_words_are_found_where_their_meaning_is(says):
    says({"tea": words("small road bike", "wool jersey, large", "large jersey of wool"), "bike": words("leaf of tea, large")})
    writer = fitted()
    assert isinstance(writer, AnchorWriter)
    assert isinstance(writer, Asking)
    assert ANCHOR_WRITERS["chat"].endswith(":ChatWriter")
    codes, log_prob = writer.write(history_of([[3], [], [1, 4]]), 3)
    assert codes.tolist() == [[[BIKE, 0], [WOOL, 1], [-1, -1]], [[-1, -1]] * 3, [[TEA, 1], [-1, -1], [-1, -1]]]
    np.testing.assert_allclose(log_prob[0], [-np.log(3), -np.log(3), -np.inf], rtol=1e-6)


def test_scored_the_surest_comes_first_on_the_scale_of_codes(says):
    says({"": words("small road bike", "large wool jersey")}, log_prob=lambda _, said: -3.0 if "bike" in said else -1.0)
    codes, log_prob = fitted().write(history_of([[3]]), 2)
    assert codes[0].tolist() == [[WOOL, 1], [BIKE, 0]]
    tokens = len(words("large wool jersey").split(" "))
    np.testing.assert_allclose(log_prob[0], [-1 / tokens * 2, -3 / tokens * 2], rtol=1e-6)


def test_it_is_told_the_newest_items_and_what_they_share(says):
    backend = says({"": words("tea")})
    fitted().write(history_of([[1, 2, 3, 4, 5]]), 2)
    told = re.findall(r"^- (.*)$", backend.heard[0][1].content, re.MULTILINE)
    assert [line.split(" (")[0] for line in told] == [TEXTS[5], TEXTS[4], TEXTS[3]]
    assert set(re.findall(r"\((.*)\)", told[0])[0].split(", ")) == {"winter", "wool", "jersey"}
    backend = says({"": words("tea")})
    fitted(replace(CONFIG, words=0, characters=4)).write(history_of([[1]]), 2)
    assert "\n- road\n" in backend.heard[0][1].content


def test_what_can_not_be_used_is_counted_and_nobody_guesses(says):
    says({"tea": "Perhaps a bike?", "bike": words("zzz qqq"), "jersey": words("tea leaf", "xyz")})
    writer = fitted()
    codes, _ = writer.write(history_of([[3], [1], [2]]), 2)
    assert (codes[:2] == -1).all(), "no object; and no word that any item has"
    assert codes[2, 0, 0] == TEA
    assert (codes[2, 1] == -1).all()
    assert (writer.tally.asked, writer.tally.unparsed, writer.tally.failed) == (3, 1, 0)


def test_only_interests_of_available_items_are_written(says):
    says({"": words("small road bike", "winter wool jersey small")})
    codes, _ = fitted(available=[4, 10, 3]).write(history_of([[3]]), 2)
    assert codes[0, 0].tolist() == [BIKE, 1], "the small ones are not available"
    assert codes[0, 1].tolist() in ([TEA, 1], [-1, -1]), "no jersey is"
    with pytest.raises(DataError, match="no available item has codes"):
        fitted(available=[])


def test_answers_are_kept_and_asked_once_but_failed_ones_again(says, tmp_path):
    writer = fitted()
    writer.keep(tmp_path)
    backend = says(lambda asked: Said("", error="down") if "bike" in asked[1].content else words("tea"))
    codes, _ = writer.write(history_of([[3], [1]]), 2)
    assert (codes[1] == -1).all()
    assert writer.tally.failed == 1
    assert (tmp_path / ANSWERS).exists()
    again, backend = fitted(), says({"bike": words("tea")})
    again.keep(tmp_path)
    codes, _ = again.write(history_of([[3], [1]]), 2)
    assert (codes[:, 0, 0] == TEA).all()
    assert len(backend.heard) == 1


def test_a_budget_that_ends_stops_it_and_more_of_it_changes_no_anchor(says, tmp_path):
    says({"": words("tea")})
    little = fitted(replace(CONFIG, limits=parse(type(CONFIG.limits), {"max_calls": 3}, where="")))
    little.keep(tmp_path)
    with pytest.raises(BudgetReached, match="calls"):
        little.write(history_of([[1], [2], [3], [4], [5]]), 2)
    more = fitted()
    more.keep(tmp_path)
    more.write(history_of([[1], [2], [3]]), 2)
    assert more.fingerprint == little.fingerprint
    assert fitted(replace(CONFIG, newest=2)).fingerprint != more.fingerprint


def test_it_is_put_down_and_picked_up(says):
    says({"": words("small road bike", "large wool jersey")})
    writer = fitted()
    again = ChatWriter.from_arrays(CONFIG, writer.arrays())
    past = history_of([[1, 2, 3], []])
    for one, other in zip(writer.write(past, 3), again.write(past, 3), strict=True):
        assert (one == other).all()
    assert again.fingerprint == writer.fingerprint
    assert again.cut_us == writer.cut_us > 0
    assert again.lines == writer.lines


def test_settings_come_back_as_they_were_and_bad_ones_are_refused():
    values: dict[str, Any] = {"model": {"backend": "server", "server": {"base_url": "http://localhost:1/v1", "model": "m"}}}
    values |= {"prices": {"prompt": 1.0}, "limits": {"max_cost": 2.0}}
    settings = parse(ChatWriterConfig, values, where="shop.toml")
    assert parse(ChatWriterConfig, as_dict(settings), where="again") == settings
    with pytest.raises(ConfigError, match=r"chat \[model.sever\] is not a section. Did you mean"):
        parse(ChatWriterConfig, {"model": {"backend": "server", "sever": {}}}, where="shop.toml")
    with pytest.raises(ConfigError, match="max_cost is set, but no prices"):
        parse(ChatWriterConfig, {"limits": {"max_cost": 2.0}}, where="shop.toml")
    with pytest.raises(DataError, match="no item has a text"):
        ChatWriter(CONFIG).fit(interactions_of([[1, 2]], 13), {"semantic_ids": ids_of(), "item_texts": [""] * 13})


@needs_smollm
def test_a_real_model_s_answers_are_interests_or_none():
    model: dict[str, Any] = {"backend": "llamacpp", "path": str(smollm_file()), "llamacpp": {"context": 1024}}
    writer = fitted(ChatWriterConfig(model=model, newest=3))
    codes, log_prob = writer.write(history_of([[1, 4], [2, 5], []]), 2)
    assert writer.tally.asked == 2
    assert writer.tally.failed == 0
    there = (codes >= 0).all(2)
    assert not there[2].any()
    assert (log_prob[there] == np.float32(-np.log(2))).all(), "llama.cpp has no scores"
    assert there.any(), "of two users it says something that items are about"
