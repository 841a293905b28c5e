from dataclasses import replace

import numpy as np
import pytest

from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.requests import Allowed
from headrace.contracts.training import TrainConfig
from headrace.data.preference_axes import Pool, Wishes, with_inverses
from headrace.data.preference_templates import Phrases, templates
from headrace.data.preferences import Opinions
from headrace.encode.semantic_ids.ids import told_apart
from headrace.methods.retrieve.mender import FEATURE, Mender, MenderConfig
from headrace.nn.seeded import seeded
from headrace.testing.examples import history_of, interactions_of, some_interactions, some_requests
from headrace.train.trainer import train

# As many beams as there are items: the search is exhaustive, as the suite's comparisons of longer and shorter lists need it.
SMALL = MenderConfig(dim=8, layers=1, heads=2, hidden=16, length=5, batch_size=16, beams=20)
GROUPS = 4


def ids_of(n_items):
    """The first code is the item's group."""
    items = np.arange(n_items)
    codes = np.stack([items % GROUPS, items // GROUPS % 2], 1).astype(np.int32)
    codes[0] = -1
    return told_apart(codes, (GROUPS, 2))


def vectors_of(n_items):
    found = np.eye(GROUPS, dtype=np.float32)[np.arange(n_items) % GROUPS]
    found[0] = 0
    return found


def artifacts_of(interactions, mark=None):
    """Each item has a phrase of its own, about its group: so is its vector, whether it is to be found or avoided."""
    n, history = interactions.n_items, interactions.history
    liked = np.ones(len(history.items), np.int8) if mark is None else mark
    opinions = Opinions.of_events(
        history.rows().astype(np.int32), history.items, history.at_us, liked, len(history), 0
    )  # fmt: skip
    phrases = Phrases(np.arange(n)[:, None].astype(np.int32), tuple(f"item {number}" for number in range(n)))
    preferences = templates(opinions, phrases)
    texts, polarity, inverse = with_inverses(preferences)
    vectors = vectors_of(n)[[int(text.split()[-1]) for text in texts]]
    wishes = Wishes(opinions, preferences, Pool(texts, polarity, vectors, inverse))
    return {"semantic_ids": ids_of(n), "item_vectors": vectors_of(n), "preferences": wishes}


def learned(interactions, settings=SMALL, *, seed=0, mark=None):
    model = Mender(settings, seed=seed)
    with seeded(seed, "init"):
        return model, model.learn(interactions, artifacts_of(interactions, mark))


def wanting(requests, *groups, sign=1.0):
    """The same requests, each with the preference for a group; None for none."""
    slots = np.zeros((len(requests), 2, GROUPS + 1), np.float32)
    for row, group in enumerate(groups):
        if group is not None:
            slots[row, 0, group], slots[row, 0, -1] = 1, sign
    return replace(requests, features={FEATURE: slots})


def taught(settings, *, mark=None):
    """Everybody likes two of the groups and has items of both: which one is next, only what is wanted tells."""
    draw = np.random.default_rng(0)
    tastes = [draw.permutation(GROUPS)[:2] for _ in range(60)]
    rows = [(draw.choice(taste, 8) + GROUPS * draw.integers(1, 4, 8)).tolist() for taste in tastes]
    model, made = learned(interactions_of(rows, 16), settings, mark=mark)
    config = TrainConfig(epochs=12, learning_rate=0.02, device="cpu")
    train(made, config, seed=0, artifacts=dict.fromkeys(made.needs))
    return model


TAUGHT = replace(SMALL, dim=16, dropout=0.0, batch_size=32, beams=16)


def test_a_preference_decides_between_tastes_and_none_is_none():
    model = taught(TAUGHT)
    past = history_of([[5, 6, 9, 10]] * 3 + [[]] * 2)
    asked = wanting(replace(some_requests(5, 16), history=past), 1, 2, None, 3, None)
    found = model.retrieve(asked, 2, Allowed()).items
    assert [set((row % GROUPS).tolist()) for row in found[:2]] == [{1}, {2}]
    assert set((found[2] % GROUPS).tolist()) <= {1, 2}
    assert found[3].all()  # a preference alone is enough
    assert not found[4].any()
    bare = model.retrieve(replace(asked, features={}), 2, Allowed()).items
    assert np.array_equal(bare[2], found[2])


def test_what_is_to_be_avoided_comes_less_where_that_was_taught():
    """Half of what is chosen is disliked."""
    mark = np.random.default_rng(1).choice([-1, 1], 480)
    lead = {}
    for opposites in (False, True):
        model = taught(replace(TAUGHT, opposites=opposites, unlike=10.0), mark=mark)
        empty = replace(some_requests(4, 16), history=history_of([[], [], [], []]))
        wish, refusal = (
            (model.retrieve(wanting(empty, 0, 1, 2, 3, sign=sign), 3, Allowed()).items % GROUPS == np.arange(4)[:, None]).mean()
            for sign in (1.0, -1.0)
        )
        lead[opposites] = wish - refusal
    assert lead[True] > lead[False] + 0.2


def test_without_polarity_the_last_column_is_only_whether_a_slot_is_there():
    model, _ = learned(some_interactions(), replace(SMALL, polarity=False))
    asked = [wanting(some_requests(), *[1] * 7, sign=sign) for sign in (1.0, -1.0)]
    first, second = (model.retrieve(one, 5, Allowed()) for one in asked)
    assert np.array_equal(first.items, second.items)
    model, _ = learned(some_interactions())
    first, second = (model.retrieve(one, 5, Allowed()).scores["mender"] for one in asked)
    assert not np.allclose(first, second)


def test_withheld_events_are_learned_without_a_preference():
    for withheld, wanted in ((0.0, 0.0), (1.0, 1.0)):
        _, made = learned(some_interactions(), replace(SMALL, withheld=withheld))
        batches = list(made.batches.epoch(0))
        bare = [(batch[FEATURE][:, :, -1] == 0).all(1)[(batch["items"] > 0).any(1)] for batch in batches]
        share = np.concatenate([one.numpy() for one in bare]).mean()
        assert share >= wanted if wanted else share < 0.2  # a few have no opinion before them


def test_preferences_of_another_encoder_are_refused():
    model, _ = learned(some_interactions())
    wrong = replace(some_requests(), features={FEATURE: np.zeros((7, 2, 3), np.float32)})
    with pytest.raises(DataError, match=r"mender: preferences are \(7, 2, 3\), expected \(7, slots, 5\)"):
        model.retrieve(wrong, 5, Allowed())
    artifacts = artifacts_of(some_interactions())
    with pytest.raises(DataError, match="Make both by one encoder"):
        Mender(SMALL).learn(some_interactions(), {**artifacts, "item_vectors": np.ones((20, 9), np.float32)})


def test_heads_must_divide_dim():
    with pytest.raises(ConfigError, match="dim must be a multiple of heads"):
        MenderConfig(dim=10, heads=4)
