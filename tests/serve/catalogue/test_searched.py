"""The word index and the vectors follow the catalogue, whoever puts what while they do."""

import pytest

from headrace.serve.catalogue.messages import Item, Search
from headrace.serve.catalogue.put import put
from headrace.serve.catalogue.search import search


def found(service, query, n=10):
    return [hit.item_id for hit in search(service, Search(query=query, n=n)).items]


def test_items_that_are_put_while_changes_are_read_are_found_by_this_search_or_the_next(service, monkeypatch):
    """Another process puts one after each look at the catalogue."""
    look, names = service.shelf.refresh, [f"late {n}" for n in range(100)]
    left = iter(names)

    def interrupted():
        look()
        service.shelf.catalogue.put([{"item_id": next(left), "title": "Lantern"}], {}, service.now_us())

    with monkeypatch.context() as busy:
        busy.setattr(service.shelf, "refresh", interrupted)
        found(service, "lantern")
    there = [name for name in names if service.shelf.catalogue.get(name)]
    assert len(there) > 1
    assert set(found(service, "lantern", n=100)) == set(there)


def test_what_could_not_be_read_is_read_by_the_next_search(service, monkeypatch):
    put(service, [Item(item_id="new", title="Lantern")])
    with monkeypatch.context() as broken:
        broken.setattr(service.searched.words, "put", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            found(service, "lantern")
    assert found(service, "lantern") == ["new"]
