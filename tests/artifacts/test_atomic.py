import errno

import pytest

from headrace.artifacts.atomic import io_error, place, replacing, writing
from headrace.contracts.errors import ArtifactError, DataError


def test_the_systems_reason_is_found_behind_other_errors():
    for error in (OSError(errno.ENOSPC, "full"), RuntimeError("IO error: No space left on device (os error 28)")):
        found = io_error(error)
        assert found is not None
        assert found.errno == errno.ENOSPC
    assert io_error(RuntimeError("something else")) is None


def test_what_can_not_be_written_is_said_in_one_line(tmp_path):
    with pytest.raises(ArtifactError, match=r"x: could not be written \(No space left on device\)"), writing(tmp_path / "x"):
        raise RuntimeError("parquet: underlying IO error: No space left on device (os error 28)")
    with pytest.raises(ValueError, match="ours"), writing(tmp_path / "x"):
        raise ValueError("ours")
    with pytest.raises(DataError), writing(tmp_path / "x"):
        raise DataError("a row (os error 28)")


def test_a_file_is_replaced_whole(tmp_path):
    place(tmp_path / "a" / "b.txt", "one")
    place(tmp_path / "a" / "b.txt", "two")
    assert [path.read_text() for path in (tmp_path / "a").iterdir()] == ["two"]
    with pytest.raises(ArtifactError, match="can't write there"):
        place(tmp_path / "a" / "b.txt" / "c", "three")


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "deep" / "out.bin"

    def write(content):
        with replacing(path) as beside:
            beside.write_bytes(content)
            assert not path.exists() or path.read_bytes() == b"old"
            raise KeyError

    path.parent.mkdir()
    path.write_bytes(b"old")
    with pytest.raises(KeyError):
        write(b"half")
    assert path.read_bytes() == b"old"
    assert [one.name for one in path.parent.iterdir()] == ["out.bin"]
    with replacing(path) as beside:
        beside.write_bytes(b"new")
    assert path.read_bytes() == b"new"
    assert [one.name for one in path.parent.iterdir()] == ["out.bin"]


def test_a_folder_in_the_way_is_said(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(ArtifactError, match="out: could not be written"), replacing(tmp_path / "out") as beside:
        beside.write_bytes(b"new")
    assert [one.name for one in tmp_path.iterdir()] == ["out"]
