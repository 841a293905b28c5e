"""The published encoder, where its weights have been fetched before; `test_weights` covers the rest with a small one."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from headrace.artifacts.store import key_of
from headrace.data.datasets.placing import default_home
from headrace.encode.bert import SentenceBert
from headrace.encode.minilm import HEADS, exported, minilm, quantised
from headrace.encode.sentences import SentencesConfig
from headrace.encode.weights import SHA256, weights
from headrace.testing.encoder import check_encoder

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "minilm.json").read_text())
HOME = default_home()

pytestmark = pytest.mark.skipif(
    not (HOME / "weights" / key_of("weights", SHA256, {}, 1)).is_dir(), reason="all-MiniLM-L6-v2 is not in the cache"
)


@pytest.fixture(scope="module")
def encoder():
    return minilm(home=HOME)


def test_contract(encoder):
    check_encoder(encoder, ["a teapot of cast iron", "Tea, green, 100 g", "?!", "thé vert — 緑茶"])


def test_it_gives_the_reference_s_vectors(encoder):
    found = encoder.encode(GOLDEN["texts"], "item")
    np.testing.assert_allclose(found[:, :16], GOLDEN["vectors"], rtol=0, atol=1e-5)


def test_eight_bits_are_near_thirty_two(encoder):
    texts = [
        *GOLDEN["texts"],
        "a teapot of cast iron",
        "A man who lost his memory looks for his wife's murderer.",
        "Tea, green, 100 g",
    ]
    small = minilm(SentencesConfig(precision="int8"), home=HOME)
    found, wanted = (one.encode(texts, "item") for one in (small, encoder))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert (found * wanted).sum(1).min() > 0.99
    assert np.abs(found - wanted).max() > 1e-4, "it is another file"
    assert small.fingerprint == f"{encoder.fingerprint}/int8"
    size = {quantise: quantise(HOME).path / "model.onnx" for quantise in (exported, quantised)}
    assert size[quantised].stat().st_size < 0.5 * size[exported].stat().st_size


def test_like_sentences_are_nearer_than_unlike_ones(encoder):
    pairs = [
        ("a teapot of cast iron", "an iron kettle for tea"),
        ("a film about the second world war", "drama set in 1944 Normandy"),
        ("running shoes for women", "ladies' trainers for jogging"),
        ("how do I reset my password?", "I forgot my login credentials"),
    ]
    queries, items = zip(*pairs, strict=True)
    likeness = encoder.encode(queries, "query") @ encoder.encode(items, "item").T
    assert (likeness.argmax(1) == np.arange(len(pairs))).all()
    assert likeness.diagonal().min() > np.where(np.eye(len(pairs)), -1, likeness).max() + 0.1


def test_the_exported_file_equals_the_module(encoder):
    body = SentenceBert.of(load_file(weights(HOME).path / "model.safetensors"), HEADS)
    tokens = torch.tensor([[101, 1037, 5572, 11008, 1997, 102], [101, 3707, 102, 0, 0, 0]])
    with torch.no_grad():
        wanted = body(tokens, (tokens > 0).long()).numpy()
    (found,) = encoder._session.run(None, {"tokens": tokens.numpy(), "kept": (tokens > 0).long().numpy()})
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
