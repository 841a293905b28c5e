import json
import math
import os
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from headrace.evaluate.report import html_report, text_table, versus_in_words, write_json
from headrace.evaluate.rows import Row

BASE = Row("retrieval", "itemknn", "leave-last", "all", "recall@10", 0.077, 0.06, 0.0941, 943)
ROWS = [
    replace(BASE, method="popularity", value=0.047, baseline="itemknn", diff=-0.03, diff_lo=-0.039, diff_hi=-0.021, p=0.002),
    BASE,
    replace(BASE, method="sasrec", value=0.08, baseline="itemknn", diff=0.003, diff_lo=-0.01, diff_hi=0.015, p=0.7),
]
FACTS = {
    "dataset": "shop <b>",
    "events": np.int64(98_331),
    "share of tied events": np.float64(0.03),
    "split dates": {"test": "May 1"},
}


def test_table_golden():
    assert text_table(ROWS, "retrieval, shop, leave-last, full catalogue") == (
        "retrieval, shop, leave-last, full catalogue, n = 943 users\n"
        "method      recall@10             vs itemknn (recall@10)\n"
        "popularity  0.047 [0.060, 0.094]  -0.030 [-0.039, -0.021] *\n"
        "itemknn     0.077 [0.060, 0.094]\n"
        "sasrec      0.080 [0.060, 0.094]  +0.003 [-0.010, +0.015]\n"
        "* differs at Holm-adjusted p < 0.05, paired bootstrap over users"
    )


SECOND = [*ROWS, replace(ROWS[2], baseline="popularity", diff=0.033, diff_lo=0.02, diff_hi=0.046, p=0.004)]


def test_a_further_baseline_is_a_further_column():
    lines = text_table(SECOND, "t").splitlines()
    assert lines[1].endswith("vs itemknn (recall@10)     vs popularity (recall@10)")
    assert lines[4].endswith("+0.003 [-0.010, +0.015]    +0.033 [+0.020, +0.046] *")
    assert sum(line.startswith("sasrec") for line in lines) == 1


def test_a_further_baseline_is_in_the_table_of_the_page_and_not_in_its_chart():
    made = Page(html_report(SECOND, {}))
    assert made.tags.count("circle") == len(ROWS)
    assert made.tags.count("tr") == 1 + len(SECOND)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (ROWS[0], "-0.030 [-0.039, -0.021] *: worse"),
        (ROWS[2], "+0.003 [-0.010, +0.015]: not told apart"),
        (SECOND[3], "+0.033 [+0.020, +0.046] *: better"),
    ],
)
def test_a_difference_in_words_says_no_more_than_its_test(row, words):
    assert versus_in_words(row) == words


def test_a_table_block_for_each_slice_with_its_own_n():
    text = text_table([*ROWS, *(replace(row, slice="cold users", n=12) for row in ROWS)], "shop")
    assert "shop, all, n = 943 users" in text
    assert "shop, cold users, n = 12 users" in text
    assert text.count("* differs") == 1


def test_metrics_of_different_users_say_from_how_many_to_how_many():
    rows = [replace(BASE, metric=metric, n=n) for metric, n in (("log_loss", 1200), ("gauc", 900), ("calibration_ratio", 1000))]
    assert text_table(rows, "t").startswith("t, n = 900 to 1,200 users")


def test_the_table_shows_the_asked_differences_and_no_column_without_a_baseline():
    two = [*ROWS, *(replace(row, metric="ndcg@10") for row in ROWS)]
    assert "vs itemknn (ndcg@10)" in text_table(two, "t")
    assert "vs itemknn (recall@10)" not in text_table(two, "t")
    assert "vs itemknn (recall@10)" in text_table(two, "t", versus=("recall@10", "ndcg@10"))
    assert "vs " not in text_table([BASE], "t")


def test_a_sampled_figure_is_named_so_in_table_and_page():
    sampled = [replace(row, metric="ndcg@10 (sampled: uniform-100)") for row in ROWS]
    assert text_table(sampled, "t").count("(sampled: uniform-100)") == 2
    assert "(sampled: uniform-100)" in html_report(sampled, {})


def test_json_is_read_back(tmp_path):
    path = tmp_path / "new" / "result.json"
    write_json(path, [replace(BASE, lo=math.nan)], {**FACTS, "seconds": math.inf, "window": (1, np.int64(2))})
    read = json.loads(path.read_text())
    assert read["rows"] == [{**BASE.as_dict(), "lo": None}]
    assert read["facts"]["events"] == 98_331
    assert read["facts"]["seconds"] is None
    assert read["facts"]["window"] == [1, 2]
    assert set(read) == {"rows", "facts"}


def test_a_write_that_fails_leaves_the_old_result_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    write_json(path, [BASE], {})
    before = path.read_text()

    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        write_json(path, [], {})
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


class Page(HTMLParser):
    """Tags in order, attributes, and whether each tag was closed."""

    VOID = frozenset({"meta", "line", "circle", "rect"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


ANSWER = [{"position": 1, "title": "<script>alert(1)</script>", "reasons": ["because of Vertigo & more"], "propensity": 0.41}]


def page(**more):
    slices = [replace(row, slice="cold users", n=12) for row in ROWS]
    rank = [replace(BASE, stage="ranking", metric="novelty@5"), replace(ROWS[0], stage="ranking", metric="novelty@5")]
    return html_report([*ROWS, *slices, *rank], FACTS, title="shop & co", **more)


def test_the_page_is_whole_and_asks_for_nothing():
    text = page(answer=ANSWER, recall_lost=[("retrieve", 500, 0.8), ("page", 10, 0.4)])
    made = Page(text)
    assert made.open == []
    assert not {"script", "link", "img", "iframe"} & set(made.tags)
    assert not {"src", "href", "onclick"} & {name for name, _ in made.attributes}
    assert "http" not in text
    assert "url(" not in text
    assert "prefers-color-scheme: dark" in text


def test_what_users_wrote_is_escaped():
    text = page(answer=ANSWER)
    assert "&lt;script&gt;alert(1)" in text
    assert "shop &lt;b&gt;" in text
    assert "<title>shop &amp; co</title>" in text


def test_facts_are_shown_for_readers():
    text = page()
    assert "<dt>events</dt><dd>98,331</dd>" in text
    assert "<dt>test</dt><dd>May 1</dd>" in text


def test_the_page_draws_a_panel_for_each_stage_slice_and_metric():
    made = Page(page())
    assert made.tags.count("svg") == 3
    assert made.tags.count("circle") == len(ROWS) * 2 + 2
    assert made.tags.count("details") == 1
    assert made.tags.count("table") == 3


def test_the_page_tells_better_from_worse_and_from_neither():
    text = page()
    assert 'class="mark worse"' in text
    assert 'class="mark same"' in text
    assert 'class="mark baseline"' in text
    assert 'class="mark differs"' in text
    assert 'class="mark better"' not in text


def test_optional_sections_stand_only_where_given():
    assert "One answer" not in page()
    assert "Recall lost" not in page()
    both = page(answer=ANSWER, recall_lost=[("retrieve", 500, 0.8), ("page", 10, 0.4)])
    assert "because of Vertigo &amp; more" in both
    assert "chance 0.410" in both
    assert 'width="40.000"' in both
    assert "-0.400" in both


def test_a_report_without_rows_is_a_page_still():
    assert Page(html_report([], {})).open == []
