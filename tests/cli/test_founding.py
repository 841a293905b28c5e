"""headrace foundation as a user meets it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace.cascade.foundation import read_foundation
from headrace.cli.founding import _layers
from headrace.cli.main import app
from headrace.contracts.errors import HeadraceError
from tests.cascade.upstream_shop import upstream_run
from tests.cli.test_cli import headrace


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return upstream_run(tmp_path_factory.getbasetemp())


def asked(*words: str) -> str:
    ran = CliRunner().invoke(app, ["foundation", *words], catch_exceptions=False)
    assert ran.exit_code == 0
    return ran.stdout


def test_the_layer_is_searched_told_and_kept(run: Path, tmp_path: Path) -> None:
    known = tmp_path / "known"
    said = asked(str(run), "--out", str(known), "--decay", "time", "--half-life-days", "3")
    found = read_foundation(known)
    layers, layer = found.schema["settings"]["layers"], found.schema["settings"]["layer"]
    for name, one in layers.items():
        line = next(line for line in said.splitlines() if line.split(",")[0].strip().startswith(name))
        assert f"{one['log_loss']:.4f}" in line
        assert ("chosen" in line) is (name == layer)
    for words in ("A linear probe of look, fitted on", f"{layer} is handed on", "78 with", "24 with", f'artifact = "{known}"'):
        assert words in said
    assert found.schema["settings"]["decay"] == {"by": "time", "per_sample": 0.99, "half_life_days": 3.0}
    assert len(found.user_ids) == 78


def test_a_layer_is_named_and_the_folder_replaced(run: Path, tmp_path: Path) -> None:
    known = tmp_path / "known"
    for layer in ("CR0", "CR2"):
        said = asked(str(run), "--out", str(known), "--layer", layer)
        assert "probe" not in said
        assert read_foundation(known).schema["settings"]["layer"] == layer


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--layer", "CR7"], "is none of this upstream"),
        (["--decay", "age"], '"by" is'),
        (["--per-sample", "2"], '"per_sample" is'),
    ],
)
def test_mistakes_leave_nothing(run: Path, tmp_path: Path, words: list[str], said: str) -> None:
    with pytest.raises(HeadraceError, match=said):
        asked(str(run), "--out", str(tmp_path / "known"), *words)
    assert not list(tmp_path.iterdir())


def test_what_is_not_its_own_is_left_alone(run: Path, tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear")
    with pytest.raises(HeadraceError, match="no foundation"):
        asked(str(run), "--out", str(tmp_path))
    assert (tmp_path / "letter").read_text() == "dear"


def test_a_search_that_finds_nothing_says_so() -> None:
    def layers(constant: float) -> str:
        of = {"a constant": constant, "CR0": 0.5, "CR1": 0.4}
        one = {name: {"log_loss": loss, "auc": 0.6, "behind": loss - 0.4, "behind_se": 0.01} for name, loss in of.items()}
        counts = {"fitted_on": 1200, "positive": 30, "judged_on": 1300, "judged_positive": 40}
        return "\n".join(_layers({"layers": one, "probed": counts, "layer": "CR1", "tasks": ["click", "buy"]}))

    assert "may be worth little" in layers(0.39)
    assert "may be worth little" not in layers(0.41)
    assert "+0.1000 ± 0.0100" in layers(0.41)
    assert (
        layers(0.41)
        .splitlines()[0]
        .endswith("fitted on 1,200 impressions (30 positive), judged on 1,300 later ones (40 positive)")
    )


def test_help_teaches() -> None:
    said = headrace("foundation", "--help").stdout
    for word in ("Example:  headrace foundation", "--decay", "--layer", "docs/foundation.md"):
        assert word in said
