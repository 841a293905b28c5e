"""MovieLens latest-small (September 2018): 100,836 ratings (0.5 to 5) of 9,742 films by 610 people.

Where $HEADRACE_DATA/ml-latest-small holds movies_text.csv (movieId, overview, tagline, keywords, original_language; from TMDB),
the overview becomes an item's text. GroupLens may change the file at its address, so it has no pinned digest; the
numbers of rows are held instead.
"""

from io import BytesIO
from pathlib import Path

import polars as pl

from headrace.contracts.tables import EVENTS, ITEMS, USERS
from headrace.data.datasets import fetching, movielens
from headrace.data.datasets.about import DataSet
from headrace.data.datasets.fetching import Files
from headrace.data.shape import in_shape, with_first_seen, with_missing

ADDRESS = "https://files.grouplens.org/datasets/movielens/ml-latest-small.zip"
FILES = ("ratings.csv", "movies.csv")


def make(folder: Path) -> None:
    files = fetching.first_of("movielens-latest-small", "ml-latest-small", (_own, _official), f"Download {ADDRESS} elsewhere.")
    try:
        text = fetching.local("ml-latest-small", (("movies_text.csv",),))
    except fetching.NotThere:
        text = {}
    write(folder, {**files, **text})


def write(folder: Path, files: Files) -> None:
    ratings = pl.read_csv(BytesIO(files["ratings.csv"]), infer_schema=False)
    events = in_shape(
        ratings.select(
            pl.format("ml-latest-small-{}", pl.int_range(1, pl.len() + 1)).alias("event_id"),
            user_id="userId",
            item_id="movieId",
            at=pl.from_epoch(pl.col("timestamp").cast(pl.Int64)).dt.replace_time_zone("UTC"),
            kind=pl.lit("rating"),
            value=pl.col("rating").cast(pl.Float64),
        ),
        EVENTS,
    )
    films = pl.read_csv(BytesIO(files["movies.csv"]), infer_schema=False)
    items = films.select(
        item_id="movieId",
        title=movielens.without_year(pl.col("title")),
        categories=pl.when(pl.col("genres") == "(no genres listed)").then(pl.lit("")).otherwise("genres").str.split("|"),
        release_year=movielens.year(pl.col("title")),
    ).with_columns(pl.col("categories").list.eval(pl.element().filter(pl.element() != "")))
    if "movies_text.csv" in files:
        texts = pl.read_csv(BytesIO(files["movies_text.csv"]), infer_schema=False)
        items = items.join(
            texts.select(item_id="movieId", text="overview", locale="original_language"),
            on="item_id", how="left", maintain_order="left",
        )  # fmt: skip
    users = with_missing(pl.DataFrame(schema={"user_id": pl.String}), USERS, events)
    events.write_parquet(folder / "events.parquet")
    in_shape(with_first_seen(items, ITEMS, events), ITEMS).write_parquet(folder / "items.parquet")
    in_shape(users, USERS).write_parquet(folder / "users.parquet")


def _own() -> Files:
    return fetching.local("ml-latest-small", (FILES,))


def _official() -> Files:
    return fetching.unzipped(fetching.download(ADDRESS), {f"ml-latest-small/{name}": name for name in FILES}, ADDRESS)


ABOUT = DataSet(
    name="movielens-latest-small",
    says="100,836 ratings of 9,742 films by 610 people, 1996-2018, with genres and, from your own copy, TMDB overviews.",
    source=ADDRESS,
    licence=movielens.terms(
        "MovieLens latest-small (September 2018)",
        "https://grouplens.org/datasets/movielens/latest/",
        "You may redistribute the data set, including transformations, under these same conditions.",
    )
    + "\nOverviews, where present, come from TMDB (https://www.themoviedb.org): non-commercial use, with attribution.\n"
    "This product uses the TMDB API but is not endorsed or certified by TMDB.\n",
    clock="time",
    rows={"events": 100_836, "items": 9_742, "users": 610},
    make=make,
)
