import sys

import numpy as np
import pytest

from headrace.artifacts.store import Store
from headrace.build.graph import Graph
from headrace.cascade import item_vectors as stage
from headrace.cascade.item_vectors import CACHE, item_vectors, load_item_vectors, load_text_encoder, texts_at
from headrace.contracts.errors import MissingExtra
from headrace.data.log import Log
from headrace.encode.bert import SentenceBert
from headrace.encode.export import export
from headrace.encode.sentences import SentenceEncoder
from tests.data.tables import write_tables
from tests.encode import tiny

CUT = 100
ITEMS = {
    "item_id": ["a", "a", "a", "b", "c", "d", "d"],
    "valid_from": [0, 50, CUT, 10, 20, CUT + 5, CUT + 9],
    "title": ["iron kettle", "tea kettle", "cup of the future", "green tea", None, "iron cup", "cup renamed"],
    "text": [None, "of iron", None, " ", None, "100 g", None],
    "categories": [None, None, None, ["drinks", "hot"], [], None, None],
}


@pytest.fixture
def log(tmp_path):
    return Log.from_tables(write_tables(tmp_path / "log", [("u", "a", 5), ("u", "e", 15)], ITEMS))


@pytest.fixture
def graph(tmp_path):
    return Graph(Store(tmp_path / "store"))


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    export(SentenceBert.of(tiny.tensors(), tiny.HEADS), folder / "model.onnx")
    tiny.write_tokenizer(folder / "tokenizer.json")
    return folder


@pytest.fixture
def tables(graph, log):
    return graph.stage("tables", lambda draft: None, config={"of": str(log.tables)})


def test_no_wording_of_the_future_is_read(log):
    """Of a the row before the cut, of d, which came later, the first: it is known as soon as d is."""
    texts, known_us = texts_at(log, CUT)
    found = dict(zip(log.items.ids, zip(texts[1:], known_us[1:].tolist(), strict=True), strict=True))
    assert found == {
        "a": ("tea kettle\nof iron", 0), "b": ("green tea\n \ndrinks, hot", 10), "c": ("", 20), "d": ("iron cup\n100 g", CUT + 5),
        "e": ("", 15),
    }  # fmt: skip
    assert texts[0] == ""
    assert dict(zip(log.items.ids, texts_at(log, 40)[0][1:], strict=True))["a"] == "iron kettle"


def test_tfidf_is_fitted_before_the_cut_and_turns_new_items_too(log, graph, tables):
    made = item_vectors(graph, tables, log, CUT, "tfidf")
    vectors = load_item_vectors(made)
    assert vectors.shape == (len(log.items), 256)
    row = dict(zip(log.items.ids, vectors[1:], strict=True))
    assert not row["c"].any()
    assert not row["e"].any()
    assert np.linalg.norm(row["d"]) == pytest.approx(1, abs=1e-5), "nobody chose it, and it has a text"
    assert row["d"] @ row["a"] > 0.3, "iron"
    assert row["d"] @ row["b"] == pytest.approx(0, abs=1e-5)
    words = load_text_encoder(made).encode(["tea kettle of iron"], "query")[0]
    assert np.array_equal(words, row["a"]), "who asks with an item's words means the item"


def test_minilm_encodes_a_text_once_a_store(log, graph, tables, tiny_folder, monkeypatch):
    """With an encoder small enough for a test in its place: the same class, another file."""
    asked: list[str] = []

    class Asked(SentenceEncoder):
        def encode(self, inputs, kind):
            asked.extend(inputs)
            return super().encode(inputs, kind)

    files = tiny_folder / "model.onnx", tiny_folder / "tokenizer.json"
    monkeypatch.setattr(stage, "minilm", lambda config: Asked(*files, "tiny", config))
    first = load_item_vectors(item_vectors(graph, tables, log, 40, "minilm"))
    assert first.shape == (len(log.items), tiny.DIM)
    assert sorted(asked) == ["green tea\n \ndrinks, hot", "iron cup\n100 g", "iron kettle"]
    asked.clear()
    second = load_item_vectors(item_vectors(graph, tables, log, CUT, "minilm"))
    assert asked == ["tea kettle\nof iron"], "the only one that is new at this cut"
    a = int(log.items.encode(["a"])[0])
    assert np.array_equal(np.delete(first, a, 0), np.delete(second, a, 0))
    assert (graph.store.root / CACHE).is_dir()
    made = len(graph.made)
    item_vectors(graph, tables, log, CUT, "minilm")
    assert len(graph.made) == made


@pytest.mark.parametrize("library", ["onnxruntime", "tokenizers"])
def test_the_extra_is_named_where_it_is_missing(log, graph, tables, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtra, match=rf"needs {library}.*headrace\[text\]"):
        item_vectors(graph, tables, log, CUT, "minilm")
