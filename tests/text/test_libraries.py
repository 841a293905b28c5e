"""Without the libraries."""

import pytest

from headrace.contracts.errors import MissingExtra
from headrace.text import libraries
from headrace.text.tokenizer import Tokenizer, TokenizerConfig, train_tokenizer
from tests.text.samples import TEXTS, small


@pytest.fixture
def none(monkeypatch):
    def lacking(name):
        raise ImportError(name)

    monkeypatch.setattr(libraries, "import_module", lacking)


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_learning_says_what_to_install(none, kind):
    with pytest.raises(MissingExtra, match=r"needs (tokenizers|sentencepiece), [^$]*pip install 'headrace\[text\]'"):
        train_tokenizer(TEXTS, TokenizerConfig(kind=kind, size=400))


@pytest.mark.parametrize("kind", ["bytes", "bpe"])
def test_bytes_and_a_stored_bpe_need_none(kind, tmp_path, monkeypatch):
    small(kind).save(tmp_path / "t.json")
    monkeypatch.setattr(libraries, "import_module", lambda name: pytest.fail(f"loaded {name}"))
    assert Tokenizer.load(tmp_path / "t.json").encode(TEXTS[:5]).ids.tolist() == small(kind).encode(TEXTS[:5]).ids.tolist()
