"""What is shown of a page: above it the words in which a ranker reads the user, if it reads any."""

from pathlib import Path

import pytest

from headrace.cascade.answers import Answered
from headrace.cli import building
from headrace.cli.building import show_explanation


@pytest.mark.parametrize("said", ["likes [wool], hats; recently socks", ""])
def test_an_explanation_begins_with_the_words_that_the_user_is_read_in(
    said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = [Answered(1, "p1", "A hat", 0.5, 1, [], ["itemknn put it 1 of 9"])]
    monkeypatch.setattr(building, "open_live", lambda _: "run")
    monkeypatch.setattr(building, "reads_as", lambda run, user: said if (run, user) == ("run", "c1") else "?")
    monkeypatch.setattr(building, "recommend", lambda *_, **__: page)
    show_explanation(Path("runs/shop"), "c1", 0, None)
    shown = capsys.readouterr().out.splitlines()
    first = [f"The user is read as: {said}"] if said else []
    assert [line.strip() for line in shown] == [*first, "1. A hat (p1), chance 0.500 in this slot", "itemknn put it 1 of 9"]
