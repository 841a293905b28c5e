"""The shop that logs what it shows, its ranker an upstream model; two of its users refuse. Built once a worker of tests."""

from pathlib import Path

from headrace.cascade.run import build
from tests.cascade.shown_shop import write_shown_shop

NO_TRAINING, NO_PERSONALISING = "c1", "c2"
LEARN = """
use = "foundation"
learn_from = "impressions"
task = ["look", "day"]
[rank.foundation]
towers = [8]
user_width = 4
item_width = 3
crosses = 1
hidden = [6]
history = 5
train = { epochs = 2, learning_rate = 0.01 }
[rank.dcnv2]
"""
TASKS = '[tasks.look]\nevent = "view"\nwindow_h = 2\n[tasks.day]\nevent = "view"\nwindow_h = 24\n'


def upstream_run(folder: Path) -> Path:
    """The folder of the finished build, in a folder that tests share."""
    here = folder / "upstream-shop"
    if not here.exists():
        here.mkdir()
        toml = write_shown_shop(here, LEARN, TASKS)
        rows = [f"c{n},{['Bern', 'Rome'][n % 2]},{f'c{n}' != NO_TRAINING},{f'c{n}' != NO_PERSONALISING}" for n in range(80)]
        (here / "users.csv").write_text("\n".join(["user_id,city,consent_train,consent_personalise", *rows]).lower())
        toml.write_text(toml.read_text().replace("[data]", '[data]\nusers = "users.csv"', 1))
        build(toml, here / "run", name="upstream")
    return here / "run"
