"""headrace annotate, in processes of its own."""

import json

import polars as pl
import pytest

from tests.cli.forked import Forked
from tests.llm.annotation.some_plan import PROMPT, reviews
from tests.llm.chat_server import completion, serving

TOML = """
out = "topics.parquet"
[rows]
path = "reviews.csv"
key = "id"
chunk = 4
[prompt]
file = "topics.txt"
values = {{ task = "Name the topic." }}
[columns.topic]
type = "choice"
choices = ["price", "taste"]
[model]
backend = "server"
[model.server]
base_url = "{url}"
model = "m"
[prices]
prompt = 1.0
completion = 2.0
[limits]
max_calls = {calls}
"""


@pytest.fixture(scope="module")
def headrace():
    forked = Forked()
    yield forked
    forked.close()


def write(folder, url="http://127.0.0.1:9/v1", calls=100):
    reviews(folder)
    (folder / "topics.txt").write_text(PROMPT)
    (folder / "topics.toml").write_text(TOML.format(url=url, calls=calls))


def test_priced_then_stopped_by_the_budget_then_whole(headrace, tmp_path):
    with serving(lambda body: completion('{"topic": "price"}')) as server:
        write(tmp_path, server.url, calls=6)
        dry = headrace("annotate", "topics.toml", "--dry-run", cwd=tmp_path)
        assert dry.code == 0, dry.said
        assert server.asked == []
        assert not (tmp_path / "topics.parquet").exists()
        for part in (
            "[system]\nYou read reviews. Name the topic.", "cup 0000 is fine", "10 rows: 0 written, 0 answered already or",
            "estimated from bytes", "likely", "most", "cost 0.0",
        ):  # fmt: skip
            assert part in dry.said
        ran = headrace("annotate", "topics.toml", cwd=tmp_path)
        assert ran.code == 2
        assert "the budget ends at calls: the next call may take 1, and of 6 there are 0 left" in ran.said
        assert "4 of 10 rows are written and 6 answers kept" in ran.said
        assert "Traceback" not in ran.said
        assert len(server.asked) == 6
        write(tmp_path, server.url)
        ran = headrace("annotate", "topics.toml", "--out", "deep/other.parquet", cwd=tmp_path)
        assert ran.code == 0, ran.said
        ran = headrace("annotate", "topics.toml", cwd=tmp_path)
        assert ran.code == 0, ran.said
        assert "rows: 10 of 10" in ran.said
        assert "rows/s" in ran.said
        assert "topics.parquet: 10 rows, 10 parsed, 0 unparsed (0.0%), 0 failed. In all 10 calls, 100 tokens" in ran.said
        assert len(server.asked) == 20
    assert pl.read_parquet(tmp_path / "topics.parquet").equals(pl.read_parquet(tmp_path / "deep" / "other.parquet"))
    assert json.loads((tmp_path / "topics.json").read_text())["spent"]["cost"] == pytest.approx(10 * (7 + 2 * 3) / 1e6)


def test_mistakes_are_one_or_two_lines(headrace, tmp_path):
    write(tmp_path)
    good = (tmp_path / "topics.toml").read_text()
    for changed, said in (
        (("key =", "keys ="), '"keys" is not a key. Did you mean "key"?'),
        (('"id"', '"ident"'), 'reviews.csv has no column "ident", the key of a row ([rows] key).'),
        (("reviews.csv", "nothing.csv"), "topics.toml [rows] path: there is no file nothing.csv."),
        (('"server"', '"llamacp"'), "'local', 'llamacpp' or 'server'"),
        (("topics.parquet", "deep"), "what is written is Parquet"),
    ):
        (tmp_path / "topics.toml").write_text(good.replace(*changed))
        ran = headrace("annotate", "topics.toml", cwd=tmp_path)
        assert ran.code == 2
        assert said in ran.said
        assert len(ran.said.splitlines()) <= 3, ran.said
    ran = headrace("annotate", "topic.toml", cwd=tmp_path)
    assert (ran.code, ran.said) == (2, 'topic.toml: there is no such file. Did you mean "topics.toml"?\n')


def test_the_help_teaches_with_an_example(headrace, tmp_path):
    ran = headrace("annotate", "--help", cwd=tmp_path)
    assert ran.code == 0
    for part in ("headrace annotate topics.toml --dry-run", "[columns.topic]", "docs/annotate.md", "--ray"):
        assert part in ran.said
