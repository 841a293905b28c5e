import pytest
import torch

from headrace.data.rank_inputs import candidate_batch, pairs_in, user_batch
from headrace.methods.rank.dcnv2 import DCNv2, DCNv2Config
from tests.methods.examples import SIZES, VECTORS, featured


@pytest.mark.parametrize(("sizes", "vectors"), [(SIZES, None), ({}, VECTORS)])
def test_what_is_joined_is_as_wide_as_it_says_and_empty_histories_have_no_taste(sizes, vectors):
    interactions, artifacts = featured(sizes=sizes, vectors=vectors)
    model = DCNv2(DCNv2Config(item_dim=4, feature_dim=3, hidden=(8,), history=5, width=4))
    model.set_up(interactions, artifacts)
    lists = artifacts["candidate_lists"]
    user = user_batch(lists.requests, model.schema)
    candidates = candidate_batch(lists.candidates, ["one", "two"], pairs_in(model.candidate_schema))
    assert model.joined(model.user(user), candidates).shape == (*candidates["items"].shape, model.joined_width(2))
    empty = model.user({**user, "history": torch.zeros_like(user["history"])})
    assert not empty["taste"].any()
    assert not empty["liked"].any()
