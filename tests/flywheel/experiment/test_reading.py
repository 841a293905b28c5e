import polars as pl
import pytest

from headrace.contracts.errors import ConfigError, DataError
from headrace.flywheel.experiment.reading import read_exposures, read_outcomes
from tests.flywheel.experiment.example import logs, plan

EXPOSURES, ROWS = logs(plan(), 20)


def test_parquet_and_csv_read_alike(tmp_path):
    for name, rows, reader in (("e", EXPOSURES, read_exposures), ("o", ROWS, read_outcomes)):
        rows.write_parquet(tmp_path / f"{name}.parquet")
        rows.write_csv(tmp_path / f"{name}.csv", datetime_format="%Y-%m-%dT%H:%M:%SZ")
        one, other = reader(tmp_path / f"{name}.parquet"), reader(tmp_path / f"{name}.csv")
        assert one.columns == rows.columns
        assert one.drop("complaints", strict=False).equals(other.drop("complaints", strict=False), null_equal=True)


def test_a_row_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "e.csv").write_text(
        "experiment_id,unit_id,unit_kind,arm,first_at\nx,u1,user,a,2026-01-01T00:00Z\nx,u2,user,a,soon\n"
    )
    with pytest.raises(DataError, match=r"e.csv: 1 rows have a first_at that can't be read. The first: row 2"):
        read_exposures(tmp_path / "e.csv")


def test_times_without_a_zone_are_refused_unless_it_is_said(tmp_path):
    (tmp_path / "o.csv").write_text("unit_id,at,clicks\nu1,2026-01-01T00:00,2\n")
    with pytest.raises(ConfigError, match="without a zone"):
        read_outcomes(tmp_path / "o.csv")
    assert read_outcomes(tmp_path / "o.csv", "UTC")["clicks"].to_list() == [2]


def test_a_missing_column_is_named(tmp_path):
    pl.DataFrame({"unit_id": ["u1"], "when": ["2026-01-01T00:00Z"]}).write_csv(tmp_path / "o.csv")
    with pytest.raises(DataError, match='no column "at"'):
        read_outcomes(tmp_path / "o.csv")
