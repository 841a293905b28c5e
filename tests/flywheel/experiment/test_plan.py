import re
import tomllib
from pathlib import Path

import pytest

from headrace.contracts.errors import ConfigError
from headrace.flywheel.experiment.assignment import Arm
from headrace.flywheel.experiment.plan import ExperimentPlan, Guardrail, Metric, read_plan
from tests.flywheel.experiment.example import CLICKS, plan

PAGE = Path(__file__).parents[3] / "docs" / "experiments.md"
TOML = """
experiment = "shop-1"
control = "current"
units = 900
window_days = 7

[[arms]]
name = "current"
[[arms]]
name = "new"

[[primary]]
name = "clicks"
kind = "mean"
column = "clicks"

[[guardrails]]
name = "complaints"
kind = "mean"
column = "complaints"
better = "lower"
margin = 0.05
"""


def test_a_plan_is_read_from_toml(tmp_path):
    (tmp_path / "plan.toml").write_text(TOML)
    read = read_plan(tmp_path / "plan.toml")
    assert read == plan()
    assert read.digest == plan().digest
    assert read.columns == ("clicks", "complaints")
    assert read.treatments == ("new",)


def test_any_other_value_is_another_digest():
    digests = {plan(**changed).digest for changed in ({}, {"alpha": 0.01}, {"units": 901}, {"guardrails": ()}, {"mde": 0.1})}
    assert len(digests) == 5


def test_planned_units_follow_the_weights():
    assert plan(units=100, arms=(Arm(name="current", weight=4), Arm(name="new", weight=1))).planned("new") == 125


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("margin = 0.05", "margins = 0.05"), ['plan.toml.guardrails.0: "margins" is not a key', 'Did you mean "margin"']),
        (("margin = 0.05", ""), ['"margin" is required']),
        (("margin = 0.05", "margin = 0"), ["greater than 0"]),
        (('control = "current"', 'control = "curent"'), ['"curent" is no arm', 'Did you mean "current"']),
        (('kind = "mean"', 'kind = "median"'), ["median"]),
        (('kind = "mean"', 'kind = "ratio"'), ["denominator"]),
        (("units = 900", 'units = 900\ndesign = "fixd"'), ["fixd"]),
        (("window_days = 7", 'design = "group_sequential"\nlooks = 5'), ["needs window_days"]),
        (("units = 900", "units = 900\nlooks = 5"), ["several looks"]),
        (('column = "clicks"', 'column = "clicks"\ncuped = true'), ["covariate_days"]),
        (('name = "complaints"', 'name = "clicks"'), ["a name of its own"]),
        (("units = 900", "units = "), ["can't be read as TOML"]),
    ],
)
def test_a_mistake_is_named(change, says, tmp_path):
    (tmp_path / "plan.toml").write_text(TOML.replace(change[0], change[1], 1))
    with pytest.raises(ConfigError) as error:
        read_plan(tmp_path / "plan.toml")
    for words in ["plan.toml", *says]:
        assert words in str(error.value)


def test_a_missing_file_names_the_nearest(tmp_path):
    (tmp_path / "plan.toml").write_text(TOML)
    with pytest.raises(ConfigError, match=r'Did you mean "plan.toml"'):
        read_plan(tmp_path / "plans.toml")


def test_the_page_names_every_key_and_no_other(tmp_path):
    found = re.search(r"```toml everything.toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    values = tomllib.loads(found[1])
    (tmp_path / "everything.toml").write_text(found[1])
    read = read_plan(tmp_path / "everything.toml")
    defaults = {name: field.default for name, field in ExperimentPlan.__dataclass_fields__.items()}
    for name in ("alpha", "power", "unit_kind", "layer", "span", "crossovers", "sample_ratio_p", "burn_in"):
        assert getattr(read, name) == defaults[name]
    metrics = values["primary"] + values["guardrails"]
    assert set(values) == set(ExperimentPlan.__dataclass_fields__)
    assert {key for metric in metrics for key in metric} == set(Guardrail.__dataclass_fields__)
    assert {key for arm in values["arms"] for key in arm} == set(Arm.__dataclass_fields__)


def test_directions():
    assert CLICKS.sign == 1
    assert Metric(name="m", kind="mean", column="m", better="lower").sign == -1
