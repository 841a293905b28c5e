"""Public data sets as contract tables, fetched from their publishers and kept in a cache; none is part of this package.

    folder = datasets.get("movielens-100k")      # items.parquet, users.parquet, events.parquet, LICENCE.txt

A folder named by HEADRACE_DATA is looked in before any address. One file here holds one data set.
"""

from importlib import import_module
from pathlib import Path

from headrace.contracts.errors import ConfigError, listed, nearest
from headrace.data.datasets.about import DataSet
from headrace.data.datasets.checking import check_folder
from headrace.data.datasets.placing import default_home, placed

_MODULES = {
    "movielens-100k": "headrace.data.datasets.movielens_100k",
    "movielens-latest-small": "headrace.data.datasets.movielens_latest_small",
    "amazon-beauty-sequences": "headrace.data.datasets.amazon_beauty_sequences",
    "open-bandit": "headrace.data.datasets.open_bandit",
    "census-income": "headrace.data.datasets.census_income",
    "imdb-reviews": "headrace.data.datasets.imdb_reviews",
    "multi30k": "headrace.data.datasets.multi30k",
    "sst2": "headrace.data.datasets.sst2",
    "uss-satisfaction": "headrace.data.datasets.uss_satisfaction",
}


def names() -> list[str]:
    return list(_MODULES)


def describe(name: str) -> DataSet:
    """What the data set is, where it comes from, its licence, clock and size. Fetches nothing."""
    if name not in _MODULES:
        raise ConfigError(f'"{name}" is not a data set.{nearest(name, _MODULES)} Data sets: {listed(_MODULES)}.')
    about: DataSet = import_module(_MODULES[name]).ABOUT
    return about


def licence(name: str) -> str:
    """The terms, as they stand in LICENCE.txt beside the tables."""
    return describe(name).licence


def get(name: str, home: Path | None = None) -> Path:
    """The folder of its tables, fetched and converted on first use. home: the cache (default_home() if None)."""
    return placed(describe(name), home or default_home())


def check(name_or_path: str | Path) -> dict[str, int]:
    """Rows by table of a data set or of any folder of tables; DataError where one breaks its contract."""
    if isinstance(name_or_path, str) and name_or_path in _MODULES:
        return check_folder(get(name_or_path), describe(name_or_path))
    if not Path(name_or_path).is_dir():
        raise ConfigError(f"{name_or_path} is neither a folder nor a data set.{nearest(str(name_or_path), _MODULES)}")
    return check_folder(Path(name_or_path))
