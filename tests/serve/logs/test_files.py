from datetime import UTC, datetime

import polars as pl
import pytest

from headrace.contracts.errors import ArtifactError
from headrace.serve.logs.files import write_by_day


def test_rows_go_to_the_file_of_their_day_and_nothing_else_is_left(tmp_path):
    at = [datetime(2026, 1, day, 23, 59, tzinfo=UTC) for day in (1, 2, 1)]
    write_by_day(tmp_path, pl.DataFrame({"at": at, "n": [1, 2, 3]}), "at", "part")
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == [
        "2026-01-01/part.parquet", "2026-01-02/part.parquet",
    ]  # fmt: skip
    assert pl.read_parquet(tmp_path / "2026-01-01" / "part.parquet")["n"].to_list() == [1, 3]


def test_a_folder_that_can_t_be_made_is_said_in_one_line(tmp_path):
    (tmp_path / "2026-01-01").write_text("a file where a folder should be")
    rows = pl.DataFrame({"at": [datetime(2026, 1, 1, tzinfo=UTC)]})
    with pytest.raises(ArtifactError, match="could not be written"):
        write_by_day(tmp_path, rows, "at", "part")


def test_what_the_disk_takes_in_part_is_not_left_there(tmp_path):
    (tmp_path / "2026-01-02").write_text("a file where a folder should be")
    rows = pl.DataFrame({"at": [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2)]})
    with pytest.raises(ArtifactError):
        write_by_day(tmp_path, rows, "at", "part")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["2026-01-02"]
