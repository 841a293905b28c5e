import json

import pytest

from headrace.contracts.errors import ConfigError
from headrace.flywheel.experiment.record import Look, opened, record_path, start, with_look, write
from tests.flywheel.experiment.example import START, plan


def look(units, decision="hold"):
    return Look("2026-03-10T00:00:00+00:00", {"current": units, "new": units}, {"new": decision})


def test_what_is_written_is_read(tmp_path):
    path = record_path(tmp_path / "plan.toml")
    record = with_look(with_look(start(plan(), START), look(100)), look(200))
    write(record, path)
    assert opened(path, plan()) == record
    assert path.name == "plan.started.json"
    assert record.started == START


def test_a_changed_plan_is_refused_and_the_change_named(tmp_path):
    write(start(plan(), START), tmp_path / "r.json")
    with pytest.raises(ConfigError, match=r"alpha was 0.05, is 0.1, units was 900, is 500"):
        opened(tmp_path / "r.json", plan(alpha=0.1, units=500))


def test_the_same_units_again_are_the_same_look():
    record = with_look(with_look(with_look(start(plan(), START), look(100)), look(100, "ship")), look(150))
    assert [one.units["new"] for one in record.looks] == [100, 150]
    assert record.looks[0].decisions == {"new": "ship"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "headrace experiment start"), ("{", "not a record"), ("[]", "not a record"), ('{"format": 1}', "not a record"),
        ('{"format": 2}', "format 2"),
    ],
)  # fmt: skip
def test_a_record_that_is_none_is_named(text, says, tmp_path):
    path = tmp_path / "plan.started.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        opened(path, plan())


def test_a_digest_written_over_does_not_help(tmp_path):
    """Who edits the plan within the record is still told by the digest."""
    path = tmp_path / "r.json"
    write(start(plan(), START), path)
    held = json.loads(path.read_text())
    held["plan"]["alpha"] = 0.1
    path.write_text(json.dumps(held))
    with pytest.raises(ConfigError):
        opened(path, plan(alpha=0.1))
