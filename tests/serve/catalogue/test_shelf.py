"""Two generations over one catalogue: what is said of an item holds in both, whichever heard it."""

import numpy as np
import pytest

from headrace.serve.catalogue.filters import NOTHING
from headrace.serve.catalogue.messages import Item
from headrace.serve.catalogue.put import delete, put
from headrace.serve.messages import Wanted
from headrace.serve.service import Service

USERS = [f"c{n}" for n in range(40)]


@pytest.fixture
def other(service, pipeline, tmp_path):
    made = Service(pipeline, tmp_path / "logs", beside=service)
    yield made
    made.close()


def shown(service, name, **more):
    return {one.item_id for user in USERS for one in service.recommend(user, f"{name} {user}", **more).page}


def test_what_one_generation_was_told_the_other_knows_and_so_does_one_opened_later(service, other, pipeline, tmp_path):
    gone = next(iter(shown(other, "before")))
    assert delete(service, gone).deleted
    assert gone not in shown(other, "after")
    later = Service(pipeline, tmp_path / "logs", beside=service)
    assert gone not in shown(later, "later")
    put(later, [Item(item_id=gone, title="Back")])
    later.close()
    assert gone in shown(service, "again") | shown(other, "again")


def test_what_could_be_shown_is_known_as_of_each_moment(service):
    number = service.shelf.numbers["p3"]
    asked = service.recommend("c1", "r1").asked
    put(service, [Item(item_id="p3", available=False)])
    assert service.shelf.offered(asked, now=False)[number]
    assert not service.shelf.offered(asked, now=True)[number]
    later = service.recommend("c1", "r2").asked
    assert not service.shelf.offered(later, now=False)[number]


def test_an_id_that_nobody_knew_stays_deleted(service, other):
    assert delete(service, "of the next build").model_dump() == {"item_id": "of the next build", "deleted": True, "known": False}
    assert not delete(other, "of the next build").deleted
    size = len(other.shelf.found(NOTHING))
    assert not other.shelf.found(NOTHING)[other.shelf.number("of the next build")]
    assert size == other.shelf.n_items + 1


def test_filters_read_what_was_put_and_the_answer_is_the_caller_s(service):
    wanted = service.shelf.rules.read({"price": Wanted(min=5)})
    assert not service.shelf.found(wanted).any()
    put(service, [Item(item_id="p3", price=7.0), Item(item_id="new", price=9.0)])
    numbers = [service.shelf.numbers[name] for name in ("p3", "new")]
    np.testing.assert_array_equal(np.flatnonzero(service.shelf.found(wanted)), numbers)
    asked = service.recommend("c1", "r1", filters={"price": Wanted(min=5)}).asked
    mask = service.shelf.offered(asked, now=True)
    np.testing.assert_array_equal(np.flatnonzero(mask), numbers[:1])
    mask[:] = False
    assert service.shelf.shown_now.any()
