"""Multi30k, task 1: captions of photographs in English, German, French and Czech, line by line translations of each other.

A line is one document_id in four locales ("train-00017", "valid-0001", "test_2016-0001", "test_2018-0001"), so the texts of one
locale stand in the order of another's. Of 29,000 lines for training six are dropped that have, in some language, the very text of
a line in valid or test; repeats within train stay, as published. Texts are stripped of space at their ends.
"""

import gzip
from pathlib import Path

import polars as pl

from headrace.contracts.errors import DataError
from headrace.data.datasets import corpus, fetching
from headrace.data.datasets.about import DataSet
from headrace.data.datasets.fetching import Files

ADDRESS = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw"
LOCALES = ("en", "de", "fr", "cs")
PARTS = {"train": "train", "val": "valid", "test_2016_flickr": "test", "test_2018_flickr": "test"}
FILES = tuple(f"{part}.{locale}" for part in PARTS for locale in LOCALES)


def make(folder: Path) -> None:
    how = f"Download the files of {ADDRESS} elsewhere: {FILES[0]}.gz to {FILES[-1]}.gz."
    write(folder, fetching.first_of("multi30k", "multi30k", (_own, _official), how))


def write(folder: Path, files: Files) -> None:
    documents = pl.concat(_lines(files, part, locale) for part in PARTS for locale in LOCALES)
    kept = corpus.apart(documents)
    kept.sort("document_id", "locale", maintain_order=True).write_parquet(folder / "documents.parquet")


def _lines(files: Files, part: str, locale: str) -> pl.DataFrame:
    def read(of: str) -> list[str]:
        # not splitlines(): it also splits at marks that stand within a line
        return files[f"{part}.{of}"].decode().rstrip("\n").split("\n")

    lines, first = read(locale), read(LOCALES[0])
    if len(lines) != len(first):
        raise DataError(f"{part}.{locale} has {len(lines):,} lines, {part}.{LOCALES[0]} has {len(first):,}. Get both anew.")
    name = PARTS[part] if part in ("train", "val") else part.removesuffix("_flickr")
    width = len(str(len(lines)))
    return pl.DataFrame(
        {
            "document_id": [f"{name}-{number:0{width}}" for number in range(1, len(lines) + 1)],
            "split": [PARTS[part]] * len(lines),
            "locale": [locale] * len(lines),
            "text": [line.strip() for line in lines],
        }
    )


def _own() -> Files:
    return fetching.local("multi30k", (FILES,))


def _official() -> Files:
    return {name: gzip.decompress(fetching.download(f"{ADDRESS}/{name}.gz")) for name in FILES}


ABOUT = DataSet(
    name="multi30k",
    says="32,079 captions of photographs in en, de, fr and cs, line by line translations; a table of documents.",
    source=ADDRESS,
    licence="Multi30k, task 1. https://github.com/multi30k/dataset\nCC BY-NC-SA 4.0. Cite in publications:\n"
    "Desmond Elliott, Stella Frank, Khalil Sima'an, Lucia Specia. 2016.\n"
    "Multi30K: Multilingual English-German Image Descriptions. Workshop on Vision and Language. https://doi.org/10.18653/v1/W16-3210\n",
    clock=None,
    rows={"documents": 4 * 32_079},
    make=make,
)
