"""Trials on a run whose figures are known: a loss with its best rate, that differs by seed."""

from pathlib import Path

import numpy as np

from headrace.artifacts.store import Store
from headrace.build.graph import Graph
from headrace.recipes.trials import TrialArm, Trials

RATES = tuple({"rate": rate} for rate in (1.0, 2.0, 4.0))


class Counted:
    """run() with a memory of what it was asked for."""

    def __init__(self):
        self.asked: list[tuple[float, int]] = []

    def __call__(self, setting, own, seed):
        self.asked.append((own["rate"], seed))
        if own["rate"] == 4.0 and own.get("fragile"):
            return {"valid": np.array([np.inf]), "loss": np.array([9.0, 9.0]), "other": np.array([1.0])}
        loss = setting["floor"] + abs(own["rate"] - own.get("best", 2.0))
        return {"valid": np.array([loss]), "loss": np.array([loss, loss + 1 + seed]), "other": np.array([7.0])}


def work(run, arms, **more):
    return Trials(
        data="made-up", arms=arms, settings={"main": {"floor": 3.0}}, described={"main": "in words"}, seeds=3,
        metrics=("loss",), run=run, open_data=lambda folder: "0123456789abcdefXX", **more,
    )  # fmt: skip


def cells(of: Trials, folder: Path, arm: str):
    of.open(folder)
    return of.cells(Graph(Store(folder / "store")), "main", arm)


def test_the_best_trial_is_run_with_every_seed(tmp_path):
    run = Counted()
    of = work(run, {"a": TrialArm({"best": 2.0}, RATES)})
    found = cells(of, tmp_path, "a")
    assert of.data_hash == "0123456789abcdef"
    assert [cell.settings for cell in found] == [{"best": 2.0, "rate": 2.0}] * 3
    assert [cell.values["loss"].tolist() for cell in found] == [[3.0, 4.0], [3.0, 5.0], [3.0, 6.0]]
    assert sorted(run.asked) == [(1.0, 0), (2.0, 0), (2.0, 1), (2.0, 2), (4.0, 0)], "trials with seed 0, none twice"
    cells(of, tmp_path, "a")
    assert len(run.asked) == 5, "a finished run is kept"


def test_units_that_every_seed_has_are_shown(tmp_path):
    """All runs are kept whole, and of each as many values are shown."""
    of = work(Counted(), {"a": TrialArm({"best": 2.0}, RATES)}, kept=lambda setting, metric, seed: np.array([int(seed == 1)]))
    found = cells(of, tmp_path, "a")
    assert [cell.values["loss"].tolist() for cell in found] == [[3.0], [5.0], [3.0]]


def test_arms_of_equal_settings_share_their_runs_and_show_other_figures(tmp_path):
    run = Counted()
    arms = {"a": TrialArm({"best": 1.0}, RATES), "b": TrialArm({"best": 1.0}, RATES, shows={"loss": "other"})}
    of = work(run, arms)
    cells(of, tmp_path, "a")
    found = cells(of, tmp_path, "b")
    assert len(run.asked) == 5
    assert [cell.values["loss"].tolist() for cell in found] == [[7.0]] * 3


def test_one_trial_is_not_chosen_from(tmp_path):
    run = Counted()
    cells(work(run, {"a": TrialArm({"rate": 4.0})}), tmp_path, "a")
    assert run.asked == [(4.0, 0), (4.0, 1), (4.0, 2)]


def test_a_trial_that_diverged_is_not_chosen(tmp_path):
    of = work(Counted(), {"a": TrialArm({"best": 4.0, "fragile": True}, RATES)})
    assert cells(of, tmp_path, "a")[0].settings["rate"] == 2.0


def test_over_makes_one_figure_of_all_trials_of_a_seed(tmp_path):
    run = Counted()

    def over(tried, figures):
        least = min(range(len(tried)), key=lambda place: figures[place]["valid"][0])
        return {"loss": np.array([tried[least]["rate"]])}

    found = cells(work(run, {"a": TrialArm({"best": 2.0}, RATES)}, over=over), tmp_path, "a")
    assert [cell.values["loss"].tolist() for cell in found] == [[2.0]] * 3
    assert sorted(run.asked) == [(rate, seed) for rate in (1.0, 2.0, 4.0) for seed in range(3)], "every trial with every seed"
    assert all(cell.settings == {"best": 2.0} for cell in found)


def test_another_revision_or_setting_runs_anew(tmp_path):
    run = Counted()
    arms = {"a": TrialArm({"rate": 1.0})}
    cells(work(run, arms), tmp_path, "a")
    cells(work(run, arms, revision=2), tmp_path, "a")
    assert len(run.asked) == 6
