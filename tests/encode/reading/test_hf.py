import shutil
import sys

import pytest
import torch
from torch.testing import assert_close

from headrace.contracts.errors import DataError, MissingExtra
from headrace.encode.reading.reader import Reader, ReaderConfig
from headrace.serve.scorers.accelerate import SCORE, USER, ScorerSessions
from headrace.serve.scorers.export import export_score, export_user
from headrace.testing import check_scorer, check_stored
from tests.encode.reading.scorers import SMALL, TEXTS, learned
from tests.encode.reading.tiny_encoders import MAKERS
from tests.methods.examples import inputs

SAID = ["A teapot of iron, 100 g", "", "green tea", "a kettle"]


@pytest.fixture(scope="module", params=MAKERS)
def folder(request, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param)
    MAKERS[request.param](path)
    return path


def config(folder, **others):
    return ReaderConfig(kind="hf", name=str(folder), tokens=8, **others)


@torch.no_grad()
def test_its_states_are_the_librarys(folder):
    from transformers import AutoModel, AutoTokenizer

    reader = Reader.fitted(config(folder), []).eval()
    ids = torch.from_numpy(reader.tokenise(SAID, 12))
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    encoder = model.get_encoder() if model.config.is_encoder_decoder else model
    states = reader.states(ids, ids > 0)
    for row, text in enumerate(SAID):
        if text:
            wanted = encoder(**tokenizer([text], return_tensors="pt", return_token_type_ids=False)).last_hidden_state[0]
            start = int(tokenizer.cls_token_id is None)  # T5 has no sign before a text, and reads another first token
            if not start:
                assert_close(states[row, : len(wanted)], wanted, rtol=1e-4, atol=1e-5)
            assert (ids[row] > 0).sum() == len(wanted) + start
    assert reader.words(ids)[2].strip() == "green tea"


def test_stored_it_needs_no_folder(folder, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    reader = Reader.fitted(config(moved), []).eval()
    shutil.rmtree(moved)
    copy = check_stored(reader).eval()
    ids = torch.from_numpy(reader.tokenise(SAID, 12))
    assert copy.tokenise(SAID, 12).tolist() == ids.tolist()
    with torch.no_grad():
        assert_close(copy.states(ids, ids > 0), reader.states(ids, ids > 0), rtol=0, atol=0)


def test_a_ranker_on_it_is_served_as_it_was_trained(folder, tmp_path):
    settings = SMALL.__class__(reader=config(folder, frozen=True), side_dim=4, history=1, width=4)
    model, _, lists = learned(settings=settings)
    user, candidates = inputs(model, lists)
    check_scorer(model, user, candidates)
    with torch.inference_mode():
        export_user(model, tmp_path / USER)
        export_score(model, tmp_path / SCORE)
        eager = model.score(model.user(user), candidates).logits["choice"]
    sessions = ScorerSessions(model, tmp_path)
    assert_close(sessions.score(sessions.user(user), candidates).logits["score"], eager, rtol=1e-5, atol=1e-5)


def test_what_is_no_encoder_is_refused(tmp_path):
    with pytest.raises(DataError, match="could not be read as an encoder of Hugging Face"):
        Reader.fitted(config(tmp_path), TEXTS)


def test_weights_that_run_code_are_not_read(tmp_path):
    MAKERS["bert"](tmp_path)
    model = torch.nn.Linear(1, 1)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(DataError, match="safetensors"):
        Reader.fitted(config(tmp_path), TEXTS)


def test_without_the_library_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match="llm"):
        Reader.fitted(config(tmp_path), TEXTS)
