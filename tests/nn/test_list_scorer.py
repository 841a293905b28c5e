import numpy as np
import pytest

from headrace.methods.prerank.two_tower import TwoTower, TwoTowerConfig
from headrace.methods.rank.dcnv2 import DCNv2, DCNv2Config
from tests.methods.examples import SIZES, VECTORS, featured


@pytest.mark.parametrize(("kind", "config"), [(DCNv2, DCNv2Config(hidden=(4,))), (TwoTower, TwoTowerConfig(hidden=4))])
def test_what_is_put_down_is_picked_up(kind, config):
    """Shapes are read from the arrays: pairs, vectors and stages among them."""
    interactions, artifacts = featured(vectors=VECTORS)
    model = kind(config, seed=5)
    model.set_up(interactions, artifacts)
    again = kind.from_arrays(config, dict(sorted(model.arrays().items(), reverse=True)))
    assert (again.schema, again.candidate_schema) == (model.schema, model.candidate_schema)
    assert int(again.stages) == 2
    assert all(np.array_equal(again.arrays()[name], values) for name, values in model.arrays().items())
    pairs = {name for name in SIZES if name.startswith("pair.")} if kind.reads_pairs else set()
    assert set(model.candidate_schema) == {"items", "retrieval"} | pairs
