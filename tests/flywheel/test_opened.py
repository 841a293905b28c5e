"""A generation is opened again with all that its plan names."""

from headrace.flywheel.generations import Generations
from headrace.flywheel.loop import fly
from headrace.flywheel.opened import open_live
from tests.cascade.fed_shop import write_upstream
from tests.flywheel.small import TOML


def test_a_wheel_builds_with_an_upstream_that_lies_beside_its_toml(tmp_path):
    write_upstream(tmp_path / "upstream", trained_until_us=0)
    toml = tmp_path / "shop.toml"
    rank = (
        TOML.replace('use = "dcnv2"', 'use = "lfm4ads"')
        .replace("[rank.dcnv2", "[rank.lfm4ads")
        .replace("epochs = 2", "epochs = 1")
    )
    toml.write_text(rank + '[foundation]\nartifact = "upstream"\n')
    fly(toml, tmp_path / "run", generations=1)
    pipeline = open_live(tmp_path / "run")
    assert len(Generations(tmp_path / "run").all()) == 1
    assert pipeline.plan.foundation.artifact == str((tmp_path / "upstream").resolve())
    assert pipeline.sources["foundation"]
    assert "foundation" in pipeline.scorer("rank").manifest.parents
    assert pipeline.need_foundation("a test").manifest.metrics["users_known"] == 0
