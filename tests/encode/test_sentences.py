import numpy as np
import pytest
import torch

from headrace.contracts.config import parse
from headrace.contracts.errors import ConfigError
from headrace.encode.sentences import SentenceEncoder, SentencesConfig
from headrace.testing.encoder import check_encoder


def encoder(folder, **settings):
    config = SentencesConfig(**{"length": 12, **settings})
    return SentenceEncoder(folder / "model.onnx", folder / "tokenizer.json", "tiny", config)


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_contract(tiny_folder, batch_size):
    check_encoder(encoder(tiny_folder, batch_size=batch_size))


def test_word_pieces_by_hand(tiny_folder, tiny_bert):
    """[CLS] a tea ##pot of [UNK] [SEP]: the tokenizer's own padding and truncation to 4 are off."""
    tokens = torch.tensor([[2, 4, 5, 6, 9, 1, 3]])
    with torch.no_grad():
        wanted = tiny_bert(tokens, torch.ones_like(tokens))
    found = encoder(tiny_folder).encode(["a TEAPOT of gold"], "item")
    np.testing.assert_allclose(found, wanted.numpy(), rtol=0, atol=1e-5)


def test_pieces_beyond_the_length_are_cut(tiny_folder):
    five = encoder(tiny_folder, length=5)
    long, cut = five.encode(["a cup of green tea", "a cup of"], "item")
    np.testing.assert_allclose(long, cut, rtol=0, atol=1e-6)
    assert np.abs(np.subtract(*encoder(tiny_folder).encode(["a cup of green tea", "a cup of"], "item"))).max() > 0.01
    assert five.fingerprint != encoder(tiny_folder).fingerprint


def test_a_batch_is_padded_to_its_own_longest(tiny_folder, monkeypatch):
    made = encoder(tiny_folder, batch_size=2)
    shapes = []
    session = made._session

    class Watched:
        def run(self, outputs, inputs):
            shapes.append(inputs["tokens"].shape)
            return session.run(outputs, inputs)

    monkeypatch.setattr(made, "_session", Watched())
    made.encode(["a a a a a a a", "tea", "a a a a a a", "cup", "g"], "item")
    assert shapes == [(2, 3), (2, 8), (1, 9)]


def test_windows_of_texts_meet_in_order(tiny_folder, monkeypatch):
    texts = ["tea " * n for n in range(9)]
    wanted = encoder(tiny_folder).encode(texts, "item")
    monkeypatch.setattr("headrace.encode.sentences._WINDOW", 4)
    np.testing.assert_allclose(encoder(tiny_folder).encode(texts, "item"), wanted, rtol=0, atol=1e-6)


def test_settings_have_bounds():
    with pytest.raises(ConfigError, match=r'"length" is 2'):
        parse(SentencesConfig, {"length": 2}, where="shop.toml [encode]")
