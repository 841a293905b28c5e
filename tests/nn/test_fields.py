from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from headrace.contracts.batch import check_batch
from headrace.nn.fields import FieldEmbeddings, FieldShapes, log_popularity
from headrace.nn.seeded import seeded
from headrace.nn.state import arrays_of, load_arrays_into
from headrace.nn.tables import TableConfig
from headrace.testing.examples import interactions_of, some_interactions

SIZES = {"user.zone": 3, "user.age": 4, "item.tags": 5, "item.geo.country/region%": 2}
USERS = ["user.zone", "user.age"]


@pytest.fixture
def interactions():
    draw = np.random.default_rng(0)
    tags = draw.integers(1, 5, (20, 3)).astype(np.int32)
    tags[1] = [2, 4, 0]
    tags[0] = tags[2] = 0
    return replace(some_interactions(), features={"item.tags": tags, "item.geo.country/region%": np.ones(20, np.int32)})


def made(interactions):
    with seeded(0, "fields"):
        fields = FieldEmbeddings(FieldShapes.of(interactions, USERS, SIZES), item_dim=4, feature_dim=3)
    fields.fill(interactions)
    return fields.requires_grad_(False)


def batch():
    history = torch.tensor([[1, 2], [3, 0]])
    return {"history": history, "user.zone": torch.tensor([0, 2]), "user.age": torch.tensor([3, 1])}


def test_features_are_joined_in_the_order_of_their_names(interactions):
    fields = made(interactions)
    check_batch(batch(), fields.schema(2))
    tables = dict(zip(["age", "zone"], fields.user_tables.values(), strict=True))
    wanted = torch.cat([tables["age"](torch.tensor([3, 1])), tables["zone"](torch.tensor([0, 2]))], -1)
    assert fields.user(batch()).equal(wanted)
    assert fields.user_names == ["user.age", "user.zone"]
    assert fields.user(batch()).shape[1] == fields.user_width
    assert fields.item(torch.ones(2, 3, dtype=torch.int64)).shape == (2, 3, fields.item_width)


def test_a_list_feature_is_the_mean_over_its_entries(interactions):
    fields = made(interactions)
    (region, tags) = fields.item_tables.values()
    assert_close(fields.item(torch.tensor(1)), torch.cat([region.weight[1], tags.weight[[2, 4]].mean(0)]))
    assert not fields.item(torch.tensor(2))[3:].any(), "no tags"


def test_codes_are_those_of_the_catalogue(interactions):
    fields = made(interactions)
    for name, codes in interactions.features.items():
        wanted = torch.from_numpy(codes[[[3, 0], [5, 5]]]).view(2, 2, -1)
        assert fields.codes(name, torch.tensor([[3, 0], [5, 5]])).equal(wanted)


def test_the_unknown_item_is_zero_and_stays_so(interactions):
    fields = made(interactions).requires_grad_(True)
    assert fields.known(torch.tensor([5, 20, 99])).tolist() == [5, 0, 0]
    fields.items(torch.tensor([0, 1])).sum().backward()
    assert fields.items.weight.grad is not None
    assert fields.items.weight.grad.any(1).tolist()[:3] == [False, True, False]
    assert not fields.items.weight[0].any()


def test_its_shapes_can_be_read_from_its_arrays_in_any_order(interactions):
    fields = made(interactions)
    arrays = {f"fields.{name}": values for name, values in sorted(arrays_of(fields).items(), reverse=True)}
    shapes = FieldShapes.stored(arrays, "fields.")
    copy = FieldEmbeddings(shapes, 4, 3)
    load_arrays_into(copy, {name.removeprefix("fields."): values for name, values in arrays.items()})
    assert copy.user(batch()).equal(fields.user(batch()))
    assert copy.item(torch.arange(20)).equal(fields.item(torch.arange(20)))


def test_vectors_are_mapped_and_never_learned(interactions):
    vectors = np.random.default_rng(1).normal(size=(20, 6)).astype(np.float32)
    vectors[[0, 3]] = 0
    with seeded(0, "fields"):
        fields = FieldEmbeddings(FieldShapes.of(interactions, USERS, SIZES, vectors=vectors), item_dim=4, feature_dim=3)
    fields.fill(interactions, vectors)
    assert fields.item_width == 2 * 3 + 4
    found = fields.item(torch.arange(20))
    assert fields.from_vector is not None
    assert_close(found[:, -4:], torch.from_numpy(vectors) @ fields.from_vector.weight.T)
    assert not found[[0, 3], -4:].any(), "no text"
    found.sum().backward()
    assert fields.from_vector.weight.grad is not None
    assert "vectors" not in dict(fields.named_parameters())


def test_an_item_nobody_chose_is_known_by_its_vector_alone():
    few = replace(interactions_of([[1, 1, 4]], 20), features={})
    with seeded(0, "fields"):
        fields = FieldEmbeddings(FieldShapes.of(few, [], {}, vectors=np.ones((20, 2), np.float32)), 4, 3)
    fields.fill(few, np.ones((20, 2), np.float32))
    assert np.flatnonzero(fields.get_parameter("items.weight").detach().numpy().any(1)).tolist() == [1, 4]


def test_what_pairs_have_is_joined_in_the_order_of_names(interactions):
    sizes = {**SIZES, "pair.b": 4, "pair.a": 3}
    with seeded(0, "fields"):
        fields = FieldEmbeddings(FieldShapes.of(interactions, USERS, sizes, pairs=["pair.b", "pair.a"]), 4, 3)
    items, codes = torch.ones(2, 2, dtype=torch.int64), torch.tensor([[0, 1], [2, 1]])
    found = fields.pair({"items": items, "pair.a": codes, "pair.b": codes + 1})
    first, second = fields.pair_tables.values()
    assert found.equal(torch.cat([first(codes), second(codes + 1)], -1))
    assert found.shape[-1] == fields.pair_width
    assert not found[0, 0, :3].any(), "unknown"
    assert made(interactions).pair({"items": items}).shape == (2, 2, 0)
    arrays = {f"fields.{name}": values for name, values in arrays_of(fields).items()}
    assert FieldShapes.stored(arrays, "fields.").pairs == {"pair.a": 3, "pair.b": 4}


TABLES = [TableConfig(hashed=7, hashes=2), TableConfig(least=4), TableConfig(hashed=7, least=4, tail=3)]


@pytest.mark.parametrize("table", TABLES, ids=["hashed", "capped", "both"])
def test_shared_rows_serve_items_that_came_after(interactions, table):
    def of(shapes):
        with seeded(0, "fields"):
            return FieldEmbeddings(shapes, item_dim=4, feature_dim=3)

    fields = of(FieldShapes.of(interactions, USERS, SIZES, table=table)).requires_grad_(False)
    fields.fill(interactions)
    asked = torch.tensor([[0, 1, 5], [20, 99, 2]])
    known = fields.known(asked)
    assert known.equal(asked)
    found = fields.items(known)
    assert not found[0, 0].any()
    assert found[1, :2].any(1).all(), "items 20 and 99 came later"
    assert fields.item(known)[1, :2].equal(fields.item(torch.zeros(2, dtype=torch.long)))
    assert fields.popular(known)[1, 0].equal(fields.popularity[:1])
    arrays = {f"fields.{name}": values for name, values in arrays_of(fields).items()}
    copy = FieldEmbeddings(FieldShapes.stored(arrays, "fields.", table=table), 4, 3)
    load_arrays_into(copy, {name.removeprefix("fields."): values for name, values in arrays.items()})
    assert copy.items(known).equal(found)
    counts = torch.from_numpy(interactions.item_counts())
    if table.least:
        rare = counts[1:] < table.least
        assert rare.any()
        assert not rare.all()
        assert (fields.items.place[1:] == 0).equal(rare)


def test_shared_rows_are_not_emptied_where_there_are_vectors():
    few = replace(interactions_of([[1, 1, 4]], 20), features={})
    vectors = np.ones((20, 2), np.float32)
    fields = FieldEmbeddings(FieldShapes.of(few, [], {}, vectors=vectors, table=TableConfig(hashed=50)), 4, 3)
    fields.fill(few, vectors)
    assert fields.get_parameter("items.weight")[1:].any(1).all()


def test_without_features(interactions):
    fields = made(replace(interactions, features={}))
    bare = FieldEmbeddings(FieldShapes.of(replace(interactions, features={}), [], {}), 4, 3)
    assert bare.user({"history": torch.zeros(2, 5)}).shape == (2, 0)
    assert fields.item(torch.zeros(2, 5, dtype=torch.int64)).shape == (2, 5, 0)


def test_popularity_is_standardised():
    found = log_popularity(interactions_of([[1, 1, 1, 2]], 3))
    assert found == pytest.approx((np.log([1, 4, 2]) - np.log([1, 4, 2]).mean()) / np.log([1, 4, 2]).std())
    assert log_popularity(interactions_of([], 3)).tolist() == [0, 0, 0]
