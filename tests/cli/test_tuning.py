import pytest
from typer.testing import CliRunner

from headrace.cli.main import app
from headrace.contracts.errors import ConfigError
from headrace.llm.causal import write
from headrace.testing.tiny_llama import tiny

TOML = """
model = "tiny"
[data]
rows = "rows.csv"
[tune]
length = 64
rows = 8
"""


def test_tune_says_what_was_learned_and_where_it_lies(tmp_path):
    write(tiny().model, tiny().tokenizer, tmp_path / "tiny")
    rows = [f"{word} {number},{answer}" for number in range(10) for word, answer in (("tea", "hot"), ("ice", "cold"))]
    (tmp_path / "rows.csv").write_text("\n".join(["prompt,answer", *rows]))
    (tmp_path / "t.toml").write_text(TOML)
    ran = CliRunner().invoke(app, ["tune", str(tmp_path / "t.toml"), "--out", str(tmp_path / "out"), "--merge"])
    assert ran.exit_code == 0, ran.output
    assert "Trained on 18 chats; 2 were held out" in ran.output
    assert "epoch 1: training loss" in ran.output
    assert ran.output.count("nats a token, accuracy ") == 2
    assert f"The model with it: {tmp_path / 'out' / 'merged'}" in ran.output.replace("\n", "")
    assert (tmp_path / "out" / "tune.json").is_file()


def test_a_toml_that_is_not_there_is_named(tmp_path):
    (tmp_path / "reviews.toml").touch()
    with pytest.raises(ConfigError, match='Did you mean "reviews.toml"'):
        CliRunner().invoke(app, ["tune", str(tmp_path / "review.toml")], catch_exceptions=False)
