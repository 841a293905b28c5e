import pytest
import torch
from torch.testing import assert_close

from headrace.contracts.errors import DataError
from headrace.encode.reading.reader import Reader, ReaderConfig
from tests.encode.reading.scorers import READER, TEXTS


def test_pieces_are_of_the_texts_and_read_back():
    reader = Reader.fitted(READER, TEXTS)
    ids = torch.from_numpy(reader.tokenise(TEXTS, 60))
    assert reader.words(ids) == list(TEXTS)
    assert ids.max() < reader.vocabulary <= 300
    assert ids[1][ids[1] > 0].tolist()[:: int((ids[1] > 0).sum()) - 1] == [reader.sos, reader.eos]
    assert not ids[0].any()
    bare = reader.tokenise(["iron"], 60, framed=False)
    assert bare[bare > 0].tolist() == reader.tokenise(["iron"], 60)[0][1 : 1 + (bare > 0).sum()].tolist()


def test_without_layers_a_token_is_its_embedding():
    reader = Reader.fitted(ReaderConfig(dim=8, heads=2, layers=0, vocabulary=300), TEXTS).eval()
    ids = torch.from_numpy(reader.tokenise(TEXTS[1:3], 8))
    assert_close(reader.states(ids, ids > 0), reader.get_parameter("body.words.weight")[ids] * (ids > 0).unsqueeze(-1))


def test_texts_without_a_word_are_refused():
    with pytest.raises(DataError, match="none of which says a word"):
        Reader.fitted(READER, ["", ""])
