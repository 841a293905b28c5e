import polars as pl
import pytest

from headrace.contracts.errors import DataError
from headrace.llm.annotation.running import annotate, opened
from headrace.testing.chat import Scripted
from tests.llm.annotation.some_plan import GOOD, plan

ROWS = {"path": "turns.parquet", "key": "conversation_id", "kind": "conversations", "chunk": 2}
PROMPT = {"name": "annotate.conversation", "file": "", "values": {"task": "Name the topic."}}


def some_turns(conversations=5, turns=3, kind=str):
    """Scattered: turn by turn of all conversations, the later turns first."""
    return pl.DataFrame(
        {"conversation_id": kind(c), "index": i, "role": ("user", "assistant")[i % 2], "content": f"talk {c}, turn {i}"}
        for i in reversed(range(turns))
        for c in range(conversations)
    )


def open_turns(folder, table, **rows):
    (table.write_csv if rows.get("path", "").endswith("csv") else table.write_parquet)(folder / rows.get("path", "turns.parquet"))
    return opened(plan(folder, rows=ROWS | rows, prompt=PROMPT), Scripted([]))


@pytest.mark.parametrize("kind", [str, int])
@pytest.mark.parametrize("path", ["turns.parquet", "turns.csv"])
@pytest.mark.parametrize("sort", [True, False])
def test_rows_that_share_an_id_are_one_row_of_work(tmp_path, kind, path, sort):
    table = some_turns(kind=kind)
    with open_turns(tmp_path, table.sort("conversation_id") if sort else table, path=path) as job:
        found = [job.table.chunk(number) for number in range(job.table.chunks)]
        assert job.table.rows == 5
    assert [str(key) for chunk in found for key in chunk.keys] == ["0", "1", "2", "3", "4"]
    assert found[1].texts[1]["transcript"] == "[0] user: talk 3, turn 0\n[1] assistant: talk 3, turn 1\n[2] user: talk 3, turn 2"


def test_the_out_file_has_a_row_a_conversation(tmp_path):
    some_turns(kind=int).write_parquet(tmp_path / "turns.parquet")
    of = plan(tmp_path, rows=ROWS, prompt=PROMPT)
    assert annotate(of, Scripted(lambda _: GOOD))["rows"] == 5
    out = pl.read_parquet(of.out)
    assert out["conversation_id"].to_list() == [0, 1, 2, 3, 4]
    assert out.columns == ["conversation_id", "topic", "mood", "status", "reason"]


def test_long_conversations_lose_their_middle(tmp_path):
    with open_turns(tmp_path, some_turns(1, 60), characters=300) as job:
        text = job.table.chunk(0).texts[0]["transcript"]
    assert "turns left out ...]" in text
    assert len(text) < 400


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (pl.lit(0).alias("index"), r"conversation_id '0' and index 0 stands in rows"),
        (pl.lit(None, pl.Int64).alias("index"), r'row 1 \(conversation_id \'0\', role \'user\'\) has no whole number as "index"'),
        (pl.lit("bot").alias("role"), r"role 'bot'\) has another \"role\" than system, user, assistant, tool"),
        (pl.lit(None, pl.String).alias("role"), r"role None\) has another"),
        (pl.lit(None, pl.String).alias("conversation_id"), r'15 rows have no "conversation_id": rows 1, 2, 3, 4, 5'),
    ],
)
def test_turns_that_make_no_conversation_say_why(tmp_path, changed, message):
    with pytest.raises(DataError, match=message), open_turns(tmp_path, some_turns().with_columns(changed)):
        pass


def test_a_column_that_is_not_there_is_named_with_the_key_that_renames_it(tmp_path):
    table = some_turns().rename({"content": "text"})
    with (
        pytest.raises(DataError, match=r"no column \"content\", a turn's content \(\[rows\] content\)"),
        open_turns(tmp_path, table),
    ):
        pass
    with open_turns(tmp_path, table, content="text") as job:
        assert "talk 0, turn 0" in job.table.chunk(0).texts[0]["transcript"]
