"""A file that is not what it says."""

import json

import pytest

from headrace.contracts.errors import ArtifactError
from headrace.text.tokenizer import Tokenizer
from tests.text.samples import small


@pytest.fixture
def path(tmp_path):
    small("bpe").save(tmp_path / "t.json")
    return tmp_path / "t.json"


def test_it_is_json_with_its_hash(path):
    found = json.loads(path.read_text())
    assert found["hash"] == small("bpe").hash
    assert set(found) == {"format", "hash", "config", "model"}


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda text: text[:-40], "is no tokenizer, or cut short"),
        (lambda text: "[]", "is no tokenizer"),
        (lambda text: "{}", "is no tokenizer"),
        (lambda text: text.replace('"sentinels": 3', '"sentinels": 4'), "it was changed"),
        (lambda text: text.replace('"format": 1', '"format": 2'), "has format 2, this Headrace reads 1"),
    ],
)
def test_what_is_wrong_is_said(path, spoil, says):
    path.write_text(spoil(path.read_text()))
    with pytest.raises(ArtifactError, match=says):
        Tokenizer.load(path)


def test_a_lacking_file_is_said(tmp_path):
    with pytest.raises(ArtifactError, match="can't be read"):
        Tokenizer.load(tmp_path / "none.json")
