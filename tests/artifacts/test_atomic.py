import errno

import pytest

from headrace.artifacts.atomic import io_error, place, writing
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
