"""A real log is read on by days: no build sees a later row, and what nobody can be asked is no evidence."""

import numpy as np
import polars as pl
import pytest

from headrace.cli.forgetting import forget_user
from headrace.contracts.errors import ConfigError
from headrace.data.ring import DAY_US, write_ring
from headrace.flywheel.generations import Generations
from headrace.flywheel.loop import fly

TOML = """
seed = 0
[data]
events = "log/events.parquet"
items = "log/items.parquet"
users = "log/users.parquet"
[fly]
first_share = 0.6
days = 3
replayed = 60
timed = 15
[gates]
required = ["offline"]
[gates.offline]
margin = 0.9
least_users = 5
[gates.off_policy]
[gates.experiment]
[retrieve]
use = ["popularity", "markov"]
k = 10
[rank]
use = "dcnv2"
[rank.dcnv2]
item_dim = 4
feature_dim = 2
cross_layers = 1
hidden = [8]
[rank.dcnv2.train]
epochs = 1
[page.explore]
slots = 4
[page]
seen_items = true
[evaluate]
resamples = 100
"""


@pytest.fixture(scope="module")
def flown(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replay")
    (folder / "log").mkdir()
    write_ring(folder / "log", users=60, steps=20, items=30)
    (folder / "shop.toml").write_text(TOML)
    return folder, fly(folder / "shop.toml", folder / "run", generations=3)


def newest_us(path):
    return int(pl.read_parquet(path)["at"].dt.timestamp("us").to_numpy().max())


def test_each_generation_knows_the_log_up_to_its_moment(flown):
    folder, _ = flown
    last = [newest_us(path) for path in sorted((folder / "run" / "log").glob("*/events.parquet"))]
    assert max(last) < newest_us(folder / "log" / "events.parquet")
    assert np.diff(last) / DAY_US == pytest.approx([3, 3], abs=1)


def test_without_traffic_an_experiment_is_no_evidence_and_nothing_is_known_of_the_truth(flown):
    _, cycles = flown
    for one in cycles[1:]:
        assert one.decisions["experiment"]["status"] == "no_evidence"
        assert one.decisions["off_policy"]["status"] == "no_evidence"
        assert one.decisions["offline"]["status"] == "passed"
        assert one.promoted
        assert one.worth is None


def test_a_required_experiment_holds_every_release(flown, tmp_path):
    folder, _ = flown
    (folder / "strict.toml").write_text(TOML.replace('required = ["offline"]', 'required = ["offline", "experiment"]'))
    cycles = fly(folder / "strict.toml", tmp_path / "run", generations=2)
    assert cycles[1].says == "held: no evidence from experiment"
    assert Generations(tmp_path / "run").live_number == 1


def test_the_end_of_the_log_is_said_before_anything_is_built(flown, tmp_path):
    folder, _ = flown
    with pytest.raises(ConfigError, match="the log ends before generation"):
        fly(folder / "shop.toml", folder / "run", generations=9)


def test_a_forgotten_user_is_in_no_generation(flown, tmp_path):
    folder, _ = flown
    run = tmp_path / "run"
    fly(folder / "shop.toml", run, generations=1)
    forget_user(run, "c3")
    assert Generations(run).live is None
    assert not (run / "log").exists()
    fly(folder / "shop.toml", run, generations=1)
    assert "c3" not in pl.read_parquet(run / "log" / "0001" / "events.parquet")["user_id"].to_list()
    assert Generations(run).live_number == 1
