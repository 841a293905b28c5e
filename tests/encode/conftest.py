from pathlib import Path

import pytest

from headrace.encode.bert import SentenceBert
from headrace.encode.export import export
from tests.encode import tiny


@pytest.fixture(scope="session")
def tiny_bert():
    return SentenceBert.of(tiny.tensors(), tiny.HEADS)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory, tiny_bert) -> Path:
    """model.onnx and tokenizer.json of a random encoder of 2 layers."""
    folder: Path = tmp_path_factory.mktemp("tiny")
    export(tiny_bert, folder / "model.onnx")
    tiny.write_tokenizer(folder / "tokenizer.json")
    return folder
