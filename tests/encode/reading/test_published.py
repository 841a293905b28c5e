from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from headrace.contracts.errors import DataError
from headrace.encode import minilm
from headrace.encode.reading import published
from headrace.encode.reading.reader import Reader, ReaderConfig
from headrace.testing import check_scorer, check_stored
from tests.encode import tiny
from tests.encode.reading.scorers import SMALL, learned
from tests.methods.examples import inputs

CONFIG = ReaderConfig(kind="minilm", tokens=8)
SAID = ["A teapot of iron, 100 g", "", "green tea", "a kettle"]


@pytest.fixture(autouse=True)
def source(monkeypatch, tmp_path):
    """The small encoder in the place of the published one."""
    tiny.write_tokenizer(tmp_path / "tokenizer.json")
    save_file(tiny.tensors(), tmp_path / "model.safetensors")
    monkeypatch.setattr(published, "weights", lambda home: SimpleNamespace(path=tmp_path))
    monkeypatch.setattr(minilm, "HEADS", tiny.HEADS)


@torch.no_grad()
def test_its_states_are_what_the_sentence_encoder_pools(tiny_bert):
    reader = Reader.fitted(CONFIG, [])
    ids = torch.from_numpy(reader.tokenise(SAID, 12))
    there = ids > 0
    words = [[tiny.WORDS[one] for one in row if one] for row in ids.tolist()]
    assert words[0] == ["[CLS]", "a", "tea", "##pot", "of", "iron", ",", "100", "g", "[SEP]"]
    assert words[1] == []
    states = reader.states(ids, there)
    mean = torch.nn.functional.normalize(states.sum(1) / there.sum(1, keepdim=True).clamp(min=1), dim=-1)
    said = there.any(1)
    assert_close(mean[said], tiny_bert(ids[said], there[said].long()))
    assert reader.words(ids)[2] == "green tea"


def test_it_is_stored_with_its_words(monkeypatch):
    reader = Reader.fitted(CONFIG, [])
    monkeypatch.setattr(published, "weights", lambda home: pytest.fail("asked for its source"))
    copy = check_stored(reader)
    assert copy.tokenise(SAID, 6).tolist() == reader.tokenise(SAID, 6).tolist()


@pytest.mark.parametrize("frozen", [False, True])
def test_a_ranker_on_it(frozen):
    settings = SMALL.__class__(reader=ReaderConfig(kind="minilm", tokens=8, frozen=frozen), side_dim=4, history=1, width=4)
    model, _, lists = learned(settings=settings)
    assert {one.requires_grad for one in model.reader.parameters()} == {not frozen}
    check_scorer(model, *inputs(model, lists))


def test_a_row_beyond_its_places_is_refused():
    reader = Reader.fitted(CONFIG, [])
    ids = torch.ones(1, tiny.POSITIONS + 1, dtype=torch.long)
    with pytest.raises(DataError, match="rows of 13 tokens and reads 12 at most"):
        reader.states(ids, ids > 0)
