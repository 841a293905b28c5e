import numpy as np

from headrace.contracts.batch import Field
from headrace.data.next_items import NextItemBatches
from headrace.testing import check_batches
from headrace.testing.examples import history_of, some_interactions

SCHEMA = {"history": Field("int64", ("rows", 3)), "user.n": Field("int64", ("rows",))}


def batches(history, seen=None, batch_size=4):
    def users_at(users, at_us):
        if seen is not None:
            seen.extend(zip(users.tolist(), at_us.tolist(), strict=True))
        return {"user.n": users}

    return NextItemBatches(history, users_at, SCHEMA, batch_size=batch_size, seed=0)


def test_contract():
    check_batches(batches(some_interactions().history))


def test_every_event_once_with_what_stood_before_its_step():
    history = history_of([[], [1, 2, 3, 4, 5], [6]], [[], [10, 20, 20, 30, 40], [15]])
    seen: list[tuple[int, int]] = []
    rows = [
        (int(item), past.tolist(), int(user))
        for batch in batches(history, seen).epoch(0)
        for item, past, user in zip(batch["item"], batch["history"], batch["user.n"], strict=True)
    ]
    past = {item: tuple(i for i in before if i) for item, before, _ in rows}
    assert past == {1: (), 2: (1,), 3: (1,), 4: past[4], 5: past[5], 6: ()}
    assert (set(past[4]), set(past[5])) == ({1, 2, 3}, {2, 3, 4})
    assert {item: user for item, _, user in rows} == {1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6: 2}
    assert sorted(seen) == [(1, 10), (1, 20), (1, 20), (1, 30), (1, 40), (2, 15)], "features are those of the moment"


def test_unknown_items_are_no_targets():
    (batch,) = batches(history_of([[], [0, 1, 0]])).epoch(0)
    assert batch["item"].tolist() == [1]
    assert np.flatnonzero(batch["history"][0]).size == 0
