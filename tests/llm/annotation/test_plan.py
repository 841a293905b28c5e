import pytest

from headrace.contracts.errors import ConfigError
from headrace.llm.annotation.plan import plan_from
from tests.llm.annotation.some_plan import PROMPT, plan, values


def test_paths_count_from_the_tomls_folder(tmp_path):
    of = plan(tmp_path)
    assert of.out == tmp_path / "topics.parquet"
    assert of.fields == {"review": "review"}
    assert of.chat({"review": "Warm."})[0].content.startswith("You read reviews. Name the topic.")
    assert of.model.settings.concurrency == 8
    assert (of.limits.max_cost, of.prices) == (None, None)


def test_the_command_lines_out_comes_before_the_tomls(tmp_path):
    (tmp_path / "topics.txt").write_text(PROMPT)
    assert plan_from(values(), where="t", folder=tmp_path, out=tmp_path / "x.parquet").out == tmp_path / "x.parquet"
    assert plan_from(values(out=None), where="t", folder=tmp_path, out=tmp_path / "x.parquet").out == tmp_path / "x.parquet"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"colums": {}}, r"\[colums\] is not a section\. Did you mean columns\?"),
        ({"rows": None}, r"\[rows\] is missing"),
        ({"rows": {"keys": "id"}}, r'topics\.toml \[rows\]: "keys" is not a key\. Did you mean "key"\?'),
        ({"rows": {"chunk": "many"}}, r'\[rows\]: "chunk" is \'many\''),
        ({"rows": {"kind": "turns"}}, r"\[rows\]: \"kind\" is 'turns'.*'table' or 'conversations'"),
        ({"prompt": {"name": "annotate.text"}}, "give either name, of a prompt that comes with Headrace, or file"),
        ({"prompt": {"file": "topic.txt"}}, r"\[prompt\]: .*topic\.txt: no such file"),
        (
            {"prompt": {"file": "", "name": "annotate.tex"}},
            r'no prompt "annotate\.tex"\. Did you mean "annotate\.text"\?',
        ),
        ({"prompt": {"values": {}}}, 'topics trusts its field "task", so it is no column: set it under'),
        ({"prompt": {"values": {"task": "x", "tone": "y"}}}, r'values: "tone" is not a field of topics\.'),
        ({"prompt": {"fields": {"reviews": "text"}}}, r'fields: "reviews" is not a field of topics\. Did you mean "review"\?'),
        ({"prompt": {"fields": {"task": "text"}}}, '"task" stands under fields and has a value, or is trusted'),
        ({"prompt": {"values": {"task": "x", "review": "y"}}}, "topics reads no column, so all rows would be asked the same"),
        ({"columns": {"topic": {"type": "choise"}}}, r"\[columns\.topic\]: \"type\" is 'choise'"),
        ({"columns": {"topic": {"type": "text", "max_chars": 9}}}, r'"max_chars" is not a key\. Did you mean "max_characters"\?'),
        ({"columns": {"topic": {"type": "choice"}}}, r"\[columns\.topic\]: a column of type choice needs choices"),
        ({"columns": {"topic": {"type": "choice", "choices": ["a", "a"]}}}, "each named once"),
        ({"columns": {"mood": {"type": "text", "least": 1}}}, r"\[columns\.mood\]: least belongs to a column of type number or"),
        ({"columns": {"mood": {"type": "number", "least": 2, "most": 1}}}, "least is 2 and most 1: no number lies between"),
        ({"columns": {"status": {"type": "text"}}}, r'\[columns\.status\]: the out file has a column "status" already'),
        ({"columns": {"id": {"type": "text"}}}, 'a column "id" already'),
        ({"columns": {"topic": "text"}}, r"\[columns\.topic\]: is 'text', expected a section"),
        ({"model": {"backend": "servr"}}, r"\[model\]: \"backend\" is 'servr'"),
        ({"model": {"backend": "server", "sever": {}}}, r'\[model\.sever\] is not a section\. Did you mean "server"\?'),
        (
            {"model": {"server": {"base_url": "u", "model": "m", "timeout": 3}}},
            r'"timeout" is not a key\. .* "timeout_s"\?',
        ),
        ({"model": {"local": {"row": 3}}}, r'\[model\.local\]: "row" is not a key\. Did you mean "rows"\?'),
        ({"model": {"llamacpp": {"paralel": 3}}}, r'\[model\.llamacpp\]: "paralel" is not a key\. Did you mean "parallel"\?'),
        ({"sampling": {"temprature": 1}}, r'\[sampling\]: "temprature" is not a key\. Did you mean "temperature"\?'),
        ({"limits": {"max_cost": 1.0}}, "max_cost is set, but no prices"),
        ({"prices": {"input": 1.0}}, r'\[prices\]: "input" is not a key'),
        ({"ray": {"worker": 1}}, r'\[ray\]: "worker" is not a key\. Did you mean "workers"\?'),
        ({"out": None}, "out is missing"),
        ({"out": 3}, "out is 3, expected the name of a Parquet file"),
        ({"out": "topics.csv"}, r"topics\.csv: what is written is Parquet"),
        ({"out": "."}, "is a folder, expected the name of a Parquet file, such as"),
        ({"sampling": 3}, r"sampling is 3, expected a section \[sampling\]"),
    ],
)
def test_mistakes_name_the_place_and_the_nearest_word(tmp_path, changed, said):
    section = {name: one if name != "columns" else {**one} for name, one in changed.items()}
    with pytest.raises(ConfigError, match=said):
        plan(tmp_path, **section)


def test_a_server_without_its_section_says_what_it_needs(tmp_path):
    made = values(model=None) | {"model": {"backend": "server"}}
    (tmp_path / "topics.txt").write_text(PROMPT)
    with pytest.raises(ConfigError, match=r"a server needs \[model\.server\] with base_url and model"):
        plan_from(made, where="t", folder=tmp_path)


def test_conversations_are_read_as_transcripts(tmp_path):
    with pytest.raises(ConfigError, match="of conversations a prompt reads the field transcript, and topics reads review"):
        plan(tmp_path, rows={"kind": "conversations"})
    prompt = {"name": "annotate.conversation", "file": "", "values": {"task": "x"}}
    assert plan(tmp_path, rows={"kind": "conversations"}, prompt=prompt).fields == {"transcript": "transcript"}


def test_all_that_rows_depend_on_is_in_the_identity(tmp_path):
    before = plan(tmp_path).identity("m", "d")
    for changed in (
        {"rows": {"key": "n"}}, {"prompt": {"values": {"task": "Other."}}}, {"prompt": {"fields": {"review": "text"}}},
        {"columns": {"topic": {"type": "text"}}}, {"sampling": {"seed": 1}}, {"sampling": {"temperature": 0.5}},
    ):  # fmt: skip
        assert plan(tmp_path, **changed).identity("m", "d") != before, changed
    assert plan(tmp_path).identity("n", "d") != before != plan(tmp_path).identity("m", "e")
    for same in ({"limits": {"max_calls": 3}}, {"out": "x.parquet"}, {"prices": {"prompt": 1.0}}, {"ray": {"workers": 3}}):
        assert plan(tmp_path, **same).identity("m", "d") == before, same
