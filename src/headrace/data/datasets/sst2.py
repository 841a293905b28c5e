"""SST-2 as in GLUE: sentences and phrases of film reviews, label 1 is positive. train 67,347, valid 872, test 1,821.

Two phrases of train that are whole sentences of test are dropped; 371 repeats within train stay, as published. GLUE's own
test.tsv has no labels (null here); a folder of one's own may hold test-labeled.tsv. Tokens are lower case and stand apart, as
published.
"""

from io import BytesIO
from pathlib import Path

import polars as pl

from headrace.data.datasets import corpus, fetching
from headrace.data.datasets.about import DataSet
from headrace.data.datasets.fetching import Files

ADDRESS = "https://dl.fbaipublicfiles.com/glue/data/SST-2.zip"
GLUE = ("train.tsv", "dev.tsv", "test.tsv")
LABELLED = ("train_full.tsv", "dev.tsv", "test-labeled.tsv")


def make(folder: Path) -> None:
    write(folder, fetching.first_of("sst2", "sst2", (_own, _official), f"Download {ADDRESS} elsewhere."))


def write(folder: Path, files: Files) -> None:
    names = GLUE if GLUE[0] in files else LABELLED
    parts = (_rows(files[name], split) for name, split in zip(names, corpus.SPLITS, strict=True))
    corpus.apart(pl.concat(parts)).write_parquet(folder / "documents.parquet")


def _rows(content: bytes, split: str) -> pl.DataFrame:
    rows = pl.read_csv(BytesIO(content), separator="\t", quote_char=None, infer_schema=False)
    rows = rows.rename({name: name.strip() for name in rows.columns})  # one copy ends its lines with \r\n
    label = pl.col("label").str.strip_chars().cast(pl.Int32) if "label" in rows.columns else pl.lit(None, pl.Int32)
    width = len(str(len(rows)))
    return rows.select(
        document_id=pl.lit(f"{split}-") + pl.int_range(1, pl.len() + 1).cast(pl.String).str.zfill(width),
        split=pl.lit(split),
        locale=pl.lit("en"),
        text=pl.col("sentence").str.strip_chars(),
        label=label,
    )


def _own() -> Files:
    return fetching.local("sst2", (LABELLED, GLUE))


def _official() -> Files:
    return fetching.unzipped(fetching.download(ADDRESS), {f"SST-2/{name}": name for name in GLUE}, ADDRESS)


ABOUT = DataSet(
    name="sst2",
    says="70,040 phrases and sentences of film reviews in English, each positive or negative; a table of documents.",
    source=ADDRESS,
    licence="SST-2, from the Stanford Sentiment Treebank, as in GLUE. https://gluebenchmark.com\n"
    "Neither states a licence. For research: do not redistribute. Cite in publications:\n"
    "Richard Socher, Alex Perelygin, Jean Wu, Jason Chuang, Christopher D. Manning, Andrew Y. Ng, Christopher Potts. 2013.\n"
    "Recursive Deep Models for Semantic Compositionality Over a Sentiment Treebank. EMNLP 2013.\n",
    clock=None,
    rows={"documents": 70_040},
    make=make,
)
