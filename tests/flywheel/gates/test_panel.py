import json

import pytest

from headrace.contracts.errors import ConfigError
from headrace.flywheel.gates import GATES
from headrace.flywheel.gates.operation import Latency
from headrace.flywheel.gates.panel import Panel

SLOW, FAST = {"latency": Latency(5, 500, 500)}, {"latency": Latency(5, 20, 500)}


def test_every_gate_of_the_table_is_made_from_an_empty_section():
    panel = Panel.of({name: {} for name in GATES}, "shop.toml")
    assert [gate.name for gate in panel.gates.values()] == list(GATES)


@pytest.mark.parametrize("section", [{"latancy": {}}, {"required": ["latancy"]}])
def test_a_misspelt_gate_names_the_nearest(section):
    with pytest.raises(ConfigError, match=r'shop.toml: \[gates\] "latancy" is not a gate. Did you mean "latency"\?'):
        Panel.of(section, "shop.toml")


def test_a_misspelt_key_names_the_nearest():
    with pytest.raises(ConfigError, match=r'\[gates.latency\]: "p99" is not a key. Did you mean "p99_ms"\?'):
        Panel.of({"latency": {"p99": 5}}, "shop.toml")


def test_a_required_gate_without_evidence_holds_the_release():
    verdict = Panel.of({"required": ["latency", "shadow"]}, "shop.toml").decide("new", "old", FAST)
    assert not verdict.promotes
    assert verdict.says == "held: no evidence from shadow"


def test_one_that_is_not_required_may_lack_it():
    assert Panel.of({"required": ["latency"], "shadow": {}}, "shop.toml").decide("new", "old", FAST).promotes


def test_any_gate_blocks():
    verdict = Panel.of({"required": [], "latency": {}}, "shop.toml").decide("new", "old", SLOW)
    assert (verdict.promotes, verdict.says) == (False, "blocked by latency")


def test_a_verdict_is_json_without_nan():
    verdict = Panel.of({"required": ["shadow", "latency"]}, "shop.toml").decide("new", "old", FAST)
    text = json.dumps(verdict.as_dict(), allow_nan=False)
    assert json.loads(text)["decisions"]["shadow"]["observed"] is None
