import shutil
from pathlib import Path

import polars as pl
import pytest

from headrace.cascade.plan import read_toml
from headrace.contracts.serving import GuardrailConfig, ServeConfig
from headrace.flywheel.generations import Generations
from headrace.flywheel.opened import pipeline_of, record
from headrace.serve.app import open_service
from headrace.serve.live.holder import Live
from tests.cascade.shop import write_shop

SERVED = [("c1", f"p{n}", f"served {n}") for n in (3, 9, 15, 21)]
"""Events that were served while the first generation was live, and that the second was built from as well: user, item, id."""
AT_S = 1_750_000_000
TOML = """
[data]
events = "{events}"
items = "items.csv"
[data.columns.events]
user_id = "customer"
item_id = "product"
at = "when"
[retrieve]
use = ["popularity", "itemknn"]
k = 12
[rank.dcnv2]
hidden = [4]
history = 5
train = {{ epochs = 1 }}
[page.explore]
slots = 4
"""


def quick(**more):
    """Nothing is exported, and the ledger is looked at often."""
    return ServeConfig(**{"runtime": "torch", "reload_s": 0.05, "guardrails": GuardrailConfig(window_s=0), **more})


@pytest.fixture(scope="session")
def made_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three generations, the first live; the second has read events that are served in tests, the third is the first anew."""
    folder = tmp_path_factory.mktemp("wheel")
    write_shop(folder)
    events = pl.read_csv(folder / "events.csv").with_row_index("event_id").cast({"event_id": pl.String})
    more = [(event_id, user, item, AT_S + n, "view") for n, (user, item, event_id) in enumerate(SERVED)]
    events.write_csv(folder / "first.csv")
    served = pl.DataFrame(more, schema=events.schema, orient="row")
    pl.concat([events, served]).write_csv(folder / "second.csv")
    ledger = Generations(folder / "run")
    for name, seed in (("first", 0), ("second", 0), ("first", 1)):
        toml = folder / f"{name}{seed}.toml"
        toml.write_text(f"seed = {seed}\n" + TOML.format(events=f"{name}.csv"))
        kept = record(read_toml(toml), str(toml), folder)
        pipeline = pipeline_of(kept, folder / "run" / "store")
        ledger.add(pipeline.generation.key, plan=kept, verdict={"says": f"made from {name}"})
    ledger.promote(1, "the first")
    return folder / "run"


@pytest.fixture
def wheel(made_wheel: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made_wheel, tmp_path / "run"))


@pytest.fixture
def ledger(wheel):
    return Generations(wheel)


@pytest.fixture
def live(wheel):
    """Not begun: nothing happens by itself."""
    made = Live(wheel, open_service(wheel, quick()))
    yield made
    made.close()
