"""Texts by name, from tiny corpora."""

import json
from dataclasses import replace

import pytest

from headrace.contracts.errors import ConfigError, DataError
from headrace.data.datasets import fetching, imdb_reviews, movielens_latest_small, multi30k
from headrace.data.documents import corpus_digest, documents, table


@pytest.fixture(autouse=True)
def own(monkeypatch, tmp_path):
    """A folder of one's own, no network, and no published number of rows."""
    monkeypatch.setenv("HEADRACE_DATA", str(tmp_path / "mine"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(fetching, "run", lambda command: pytest.fail(f"ran {command}"))
    for module in (imdb_reviews, multi30k, movielens_latest_small):
        monkeypatch.setattr(module, "ADDRESS", (tmp_path / "nowhere").as_uri())
        monkeypatch.setattr(module, "ABOUT", replace(module.ABOUT, rows={}))
    return tmp_path / "mine"


def put(folder, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")


def captions(own) -> None:
    put(
        own / "multi30k",
        {f"{part}.{locale}": f"{locale} {part} 1\n{locale} {part} 2\n" for part in multi30k.PARTS for locale in multi30k.LOCALES},
    )


def films(own, overviews: list[str]) -> None:
    numbers = range(1, len(overviews) + 1)
    put(
        own / "ml-latest-small",
        {
            "ratings.csv": "userId,movieId,rating,timestamp\n1,1,4.5,964982703\n",
            "movies.csv": "movieId,title,genres\n" + "".join(f"{n},Film {n} (1999),Drama\n" for n in numbers),
            "movies_text.csv": "movieId,tmdbId,original_language,overview\n"
            + "".join(f'{n},{n},fr,"{text}"\n' for n, text in zip(numbers, overviews, strict=True)),
        },
    )


def test_locales_stand_in_one_order(own):
    captions(own)
    assert documents("multi30k", "train", locale="de") == ["de train 1", "de train 2"]
    assert documents("multi30k", "valid", locale="cs") == ["cs val 1", "cs val 2"]
    assert documents("multi30k", "valid") == [f"{locale} val {n}" for locale in ("cs", "de", "en", "fr") for n in (1, 2)]


def test_overviews_are_english_and_each_stands_once(own):
    films(own, ["A thief.", "No overview found.", "", "A thief.", "A cop. "])
    found = table("film-overviews")
    assert found.columns == ["document_id", "split", "locale", "text"]
    assert found.select("document_id", "locale", "text").rows() == [("1", "en", "A thief."), ("5", "en", "A cop.")]
    split = found["split"][0]
    assert "A thief." in documents("film-overviews", split, locale="en")


def test_films_without_overviews_say_what_to_do(own):
    films(own, [""])
    with pytest.raises(DataError, match=r"has no overviews[^$]*movies_text.csv[^$]*HEADRACE_DATA"):
        documents("film-overviews", "train")


def test_the_digest_changes_with_any_text_and_label(own, tmp_path, monkeypatch):
    def of(reviews) -> str:
        home = tmp_path / f"cache-{len(list(tmp_path.iterdir()))}"
        monkeypatch.setenv("XDG_CACHE_HOME", str(home))
        put(own / "imdb-reviews", {"reviews.json": json.dumps([{"t": text, "s": label} for text, label in reviews])})
        return corpus_digest("imdb-reviews")

    first = of([("good", 1), ("bad", 0)])
    assert len(first) == 64
    assert of([("bad", 0), ("good", 1)]) == first
    assert len({first, of([("good", 1), ("bad", 1)]), of([("good", 1), ("bad ly", 0)]), of([("good", 1)])}) == 4


def test_wrong_names_are_said(own):
    captions(own)
    with pytest.raises(ConfigError, match='"imdb" is not a corpus.* Did you mean "imdb-reviews"'):
        documents("imdb", "train")
    with pytest.raises(ConfigError, match='"dev" is no split of multi30k'):
        documents("multi30k", "dev")
    with pytest.raises(ConfigError, match='has no texts in "es".* Locales: cs, de, en, fr'):
        documents("multi30k", "train", locale="es")


def test_a_lacking_corpus_says_how_to_get_it(monkeypatch):
    def lacking(command):
        raise FileNotFoundError("npm")

    monkeypatch.setattr(fetching, "run", lacking)
    with pytest.raises(DataError, match=r"imdb-reviews could not be had[^$]*HEADRACE_DATA"):
        documents("imdb-reviews", "train")
