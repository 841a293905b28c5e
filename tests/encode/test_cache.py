import numpy as np
import pytest

from headrace.contracts.errors import ArtifactError
from headrace.encode import cache as cache_file
from headrace.encode.cache import CachedEncoder
from headrace.encode.tfidf import Tfidf, TfidfConfig
from headrace.testing.encoder import TEXTS, check_encoder


class Counting:
    """A fitted encoder that keeps what it was asked."""

    def __init__(self, dim=4):
        self.encoder = Tfidf(TfidfConfig(dim=dim))
        self.encoder.fit(TEXTS, np.zeros(len(TEXTS), np.int64), 1)
        self.dim, self.fingerprint, self.asked = dim, self.encoder.fingerprint, []

    def encode(self, inputs, kind):
        self.asked.append(list(inputs))
        return self.encoder.encode(inputs, kind)


def test_contract(tmp_path):
    check_encoder(CachedEncoder(Counting(), tmp_path))


def test_a_second_call_encodes_nothing_and_a_changed_text_encodes_one(tmp_path):
    inner = Counting()
    cached = CachedEncoder(inner, tmp_path)
    first = cached.encode(TEXTS, "item")
    assert inner.asked == [list(dict.fromkeys(TEXTS))], "each text once"
    np.testing.assert_array_equal(first, inner.encoder.encode(TEXTS, "item"))
    np.testing.assert_array_equal(cached.encode(TEXTS[::-1], "item"), first[::-1])
    assert len(inner.asked) == 1
    changed = ["a kettle of cast iron", *TEXTS[1:]]
    np.testing.assert_array_equal(cached.encode(changed, "item"), inner.encoder.encode(changed, "item"))
    assert inner.asked[1:] == [["a kettle of cast iron"]]


def test_another_process_finds_them(tmp_path):
    first, second = Counting(), Counting()
    early = CachedEncoder(second, tmp_path)
    vectors = CachedEncoder(first, tmp_path).encode(TEXTS, "item")
    for cached in (early, CachedEncoder(second, tmp_path)):
        np.testing.assert_array_equal(cached.encode(TEXTS, "item"), vectors)
    assert second.asked == []


def test_another_kind_or_encoder_is_another_vector(tmp_path):
    inner, other = Counting(), Counting(dim=3)
    cached = CachedEncoder(inner, tmp_path)
    cached.encode(TEXTS[:2], "item")
    cached.encode(TEXTS[:2], "query")
    assert len(inner.asked) == 2
    assert CachedEncoder(other, tmp_path).encode(TEXTS[:2], "item").shape == (2, 3)
    assert len(other.asked) == 1


def test_a_killed_run_keeps_the_shards_it_finished(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_file, "_SHARD", 2)
    texts = [f"tea {n}" for n in range(6)]
    inner = Counting()

    class Dies:
        dim, fingerprint = inner.dim, inner.fingerprint

        def encode(self, inputs, kind):
            if len(inner.asked) == 2:
                raise KeyboardInterrupt
            return inner.encode(inputs, kind)

    with pytest.raises(KeyboardInterrupt):
        CachedEncoder(Dies(), tmp_path).encode(texts, "item")
    again = Counting()
    vectors = CachedEncoder(again, tmp_path).encode(texts, "item")
    assert again.asked == [texts[4:]]
    np.testing.assert_array_equal(vectors, inner.encoder.encode(texts, "item"))


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full(path, arrays):
        path.write_bytes(b"half")
        raise OSError("no space")

    cached = CachedEncoder(Counting(), tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(cache_file, "save_arrays", full)
        with pytest.raises(OSError, match="no space"):
            cached.encode(TEXTS, "item")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert cached.encode(TEXTS, "item").shape == (len(TEXTS), 4)


def test_a_damaged_shard_is_named(tmp_path):
    CachedEncoder(Counting(), tmp_path).encode(TEXTS, "item")
    (shard,) = tmp_path.rglob("*.safetensors")
    shard.write_bytes(shard.read_bytes()[:40])
    with pytest.raises(ArtifactError, match=f"{shard.name}: can't be read"):
        CachedEncoder(Counting(), tmp_path).encode(TEXTS, "item")
