import json
import math

import pytest

from headrace.serve.console.charts import chart
from tests.serve.console.hostile import TITLE
from tests.serve.console.markup import check_harmless

ROWS = [{"name": TITLE, "n": 1234, "share": 0.123456}, {"name": "b", "n": 2, "share": None}]


def test_the_numbers_stand_in_the_chart_and_in_the_table():
    html = str(
        chart({"data": {"values": ROWS}, "mark": "bar"}, TITLE, "what it says", {"name": "item", "n": "count", "share": "of all"})
    )
    found = check_harmless(html)
    held = html.split('<script type="application/json">')[1].split("</script>")[0]
    spec = json.loads(held)
    assert spec["data"]["values"] == ROWS
    assert spec["description"] == TITLE
    for shown in ("item", "count", "of all", "1,234", "0.12346", "what it says", TITLE):
        assert shown in found.text


def test_no_rows_make_an_empty_table():
    assert "<td>" not in chart({"data": {"values": []}, "mark": "bar"}, "none")


def test_a_number_that_is_none_is_a_dash():
    assert "<td>-</td>" in chart({"data": {"values": [{"x": None}]}, "mark": "bar"}, "one")


def test_what_json_cannot_hold_is_an_error_of_the_page():
    with pytest.raises(ValueError, match="JSON"):
        chart({"data": {"values": [{"x": math.nan}]}, "mark": "bar"}, "one")
