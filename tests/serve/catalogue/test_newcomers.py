"""Items that were put while serving and that the generation does not know: to whom they are shown, and until when."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import headrace.serve.catalogue.newcomers as newcomers
from headrace.cascade.run import build, open_run
from headrace.contracts.rng import rng
from headrace.contracts.serving import ServeConfig
from headrace.serve.catalogue.messages import Item
from headrace.serve.catalogue.put import delete, described, put
from headrace.serve.explain import explain
from headrace.serve.messages import Event, Wanted
from headrace.serve.service import Service

PLAN = """
[data]
events = "events.parquet"
items = "items.parquet"
users = "users.parquet"
[retrieve]
use = ["itemknn"]
k = 8
[prerank]
use = "two_tower"
keep = 6
[prerank.two_tower]
train = { epochs = 1 }
[rank.dcnv2]
hidden = [8]
train = { epochs = 1 }
[page.explore]
slots = 4
temperature = 1.0
mmr = 0.2
most_per_category = 4
[[page.explore.rules]]
boost_category = "wool"
factor = 2.0
[features]
item_vectors = "tfidf"
"""
EACH, USERS, STEPS = 24, 24, 10
KINDS = ("wool", "steel")
WOOL, STEEL = ([f"{kind}{n}" for n in range(USERS // 2)] for kind in KINDS)
MUFF = Item(item_id="muff", title="Muff", text="made of wool, warm and soft", categories=["wool"])


def write(folder: Path, *more: dict[str, Any]) -> Path:
    """Half of the users choose what is made of wool alone, the others what is made of steel; "refuses" does not consent."""
    folder.mkdir()
    draw, rows = rng(0, "two kinds"), []
    for place, kind in enumerate(KINDS):
        for user in range(USERS // 2):
            chosen = draw.permutation(EACH)[:STEPS]
            rows += [(f"{kind}{user}", f"{kind} {n}", 86_400 * step + user + place) for step, n in enumerate(chosen.tolist())]
    rows += [("refuses", user[1], user[2] + 1) for user in rows[:STEPS]]
    pl.DataFrame(rows, schema=["user_id", "item_id", "at"], orient="row").with_columns(
        pl.col("at") + 1_700_000_000, kind=pl.lit("view")
    ).sort("at").write_parquet(folder / "events.parquet")
    said = {"wool": "made of wool, warm and soft", "steel": "made of steel, hard and cold"}
    pl.DataFrame(
        [{"item_id": f"{kind} {n}", "title": f"Thing {n}", "text": said[kind], "categories": [kind]}
         for kind in KINDS for n in range(EACH)] + list(more)
    ).with_columns(valid_from=1_600_000_000).write_parquet(folder / "items.parquet")  # fmt: skip
    users = ["refuses", *WOOL, *STEEL]
    consents = [user != "refuses" for user in users]
    pl.DataFrame({"user_id": users, "consent_personalise": consents}).write_parquet(folder / "users.parquet")
    (folder / "shop.toml").write_text(PLAN)
    return folder / "shop.toml"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    build(write(folder / "first"), folder / "run", name="shop")
    return open_run(folder / "run")


def opened(pipeline, root, **more):
    return Service(pipeline, root, ServeConfig(**{"unshown_share": 1.0, "rotate_s": 1000.0, "runtime": "torch", **more}))


@pytest.fixture
def service(shop, tmp_path):
    made = opened(shop, tmp_path / "logs")
    yield made
    made.close()


def had_muff(user):
    return Event(event_id=user, user_id=user, item_id="muff", at=datetime(2026, 1, 1, tzinfo=UTC))


def told_of(service, request_id):
    found = explain(service, request_id)
    assert found is not None
    return found


def ids(given):
    return [one.item_id for one in given.page]


def shown_to(service, users, item="muff", tries=3, name="q"):
    """Who gets it on one of so many pages."""
    return {
        user for user in users
        if any(item in ids(service.recommend(user, f"{name} {user} {seed}", seed=seed)) for seed in range(tries))
    }  # fmt: skip


def test_it_is_shown_at_once_to_those_who_like_its_kin_and_to_no_others(service):
    assert not shown_to(service, WOOL, name="before")
    (said,) = put(service, [MUFF]).items
    assert not said.known
    assert said.recommendable
    assert described(service, "muff").recommendable
    assert len(shown_to(service, WOOL)) > len(WOOL) / 2
    assert not shown_to(service, STEEL)


def test_an_item_that_is_like_nothing_is_said_to_wait_for_the_next_build(service):
    (said,) = put(service, [Item(item_id="odd", title="Qxzzy")]).items
    assert not said.recommendable
    assert service.walk(service.recommend("wool1", "r").asked).cascade.newcomers is None


def test_a_page_has_no_more_of_them_than_it_may(shop, tmp_path):
    several = [MUFF.model_copy(update={"item_id": f"muff {n}"}) for n in range(6)]
    for most in (1, 2):
        service = opened(shop, tmp_path / str(most), newcomers=most)
        put(service, several)
        counts = [sum(one.startswith("muff") for one in ids(service.recommend(user, user))) for user in WOOL]
        assert max(counts) == most
        service.close()


def test_it_is_explained_as_it_was_whatever_became_of_it_and_after_a_restart(shop, tmp_path):
    service = opened(shop, tmp_path)
    put(service, [MUFF, MUFF.model_copy(update={"item_id": "cap", "title": "Cap"})])
    given = {user: service.recommend(user, f"r {user}") for user in WOOL}
    with_it = [user for user, one in given.items() if {"muff", "cap"} & {*ids(one)}]
    assert with_it

    def as_given(of):
        for user, one in given.items():
            told = told_of(of, f"r {user}")
            assert told.worked_out_again
            assert [(item.item_id, item.propensity) for item in told.items] == [
                (item.item_id, item.propensity) for item in one.page
            ]

    as_given(service)
    told = told_of(service, f"r {with_it[0]}")
    (mine,) = [one for one in told.items if one.item_id in ("muff", "cap")]
    assert mine.proposed_by == ["newcomers"]
    assert [stage.stage for stage in mine.stages] == ["newcomers", "prerank", "rank"]
    assert "no model knows it yet" in mine.acted[0]
    assert any("newcomers: of 2 items" in rule for rule in told.rules)
    put(service, [Item(item_id="muff", text="made of steel, hard and cold", categories=["steel"])])
    delete(service, "cap")
    as_given(service)
    service.close()
    again = opened(shop, tmp_path)
    as_given(again)
    again.close()


def test_withdrawn_and_deleted_it_is_gone_at_once_and_comes_back(service):
    put(service, [MUFF])
    page = service.recommend("wool1", "first", seed=1)
    assert shown_to(service, WOOL)
    put(service, [Item(item_id="muff", available=False)])
    assert not shown_to(service, WOOL, name="withdrawn")
    assert "muff" not in ids(service.recommend("wool1", "first", seed=1)), "nor on a page that is sent again"
    assert told_of(service, "first").worked_out_again
    assert [one.item_id for one in told_of(service, "first").items] == ids(page)
    put(service, [Item(item_id="muff", available=True)])
    assert shown_to(service, WOOL, name="back")
    delete(service, "muff")
    assert not shown_to(service, WOOL, name="deleted")


def test_exclude_and_filters_hold_for_it(service):
    put(service, [MUFF])
    for seed in range(4):
        for user in WOOL:
            walked = service.walk(service.recommend(user, f"x {user} {seed}", seed=seed, exclude=["muff"]).asked)
            assert walked.cascade.newcomers is None
    steel = {"categories": Wanted(any=["steel"])}
    assert not any("muff" in ids(service.recommend(user, f"f {user}", filters=steel)) for user in WOOL)
    wool = {"categories": Wanted(any=["wool"])}
    assert any("muff" in ids(service.recommend(user, f"w {user}", filters=wool)) for user in WOOL)


def test_a_preference_moves_it_by_its_own_words(service):
    """Of two the one whose text has what is wanted."""
    wool = MUFF.model_copy(update={"item_id": "wool", "text": "made of wool, warm and soft, hard and cold"})
    put(service, [MUFF, wool])
    walked = service.walk(service.recommend("wool1", "r", preference="something hard and cold").asked)
    made = walked.scored["prerank"]
    moved = made.scores["preference"][0] - made.scores["prerank"][0]
    by = {service.names.ids[item]: float(shift) for item, shift in zip(made.items[0], moved, strict=True) if item}
    assert by["wool"] > by["muff"]


def test_whoever_had_it_is_not_shown_it_again_and_others_are(service):
    put(service, [MUFF])
    users = shown_to(service, WOOL)
    (one, *others) = sorted(users)
    assert service.receive([had_muff(one)], one=True).stored == 1
    assert shown_to(service, users, name="after") == set(others)
    assert told_of(service, f"q {one} 0").worked_out_again


def test_who_does_not_consent_gets_what_nobody_gets(service):
    put(service, [MUFF])
    service.receive([had_muff("refuses")], one=True)
    refuses, nobody = (service.walk(service.recommend(user, f"r {user}").asked) for user in ("refuses", "never seen"))
    np.testing.assert_array_equal(refuses.candidates.items, nobody.candidates.items)
    for stage, scores in nobody.candidates.scores.items():
        np.testing.assert_array_equal(refuses.candidates.scores[stage], scores)


def test_a_generation_that_knows_it_has_it_as_its_own(service, shop, tmp_path):
    put(service, [MUFF])
    known = {**MUFF.model_dump(include={"item_id", "title", "text", "categories"})}
    build(write(tmp_path / "second", known), tmp_path / "run", name="shop")
    second = Service(open_run(tmp_path / "run"), service.root, beside=service)
    try:
        assert second.shelf.numbers["muff"] < second.shelf.n_items
        assert not second.shelf.since
        assert described(second, "muff").known
        assert second.walk(second.recommend("wool1", "s").asked).cascade.newcomers is None
        put(second, [Item(item_id="scarf", title="Scarf", text=MUFF.text, categories=["wool"])])
        service.shelf.refresh()
        assert [service.names.ids[number] for number in service.shelf.since] == ["muff", "scarf"], "of the first both are new"
        assert [second.names.ids[number] for number in second.shelf.since] == ["scarf"]
    finally:
        second.close()


def test_what_is_put_in_another_order_by_another_process_makes_the_same_page(shop, tmp_path):
    several = [Item(item_id=f"n{n}", title=f"New {n}", text=MUFF.text, categories=["wool"]) for n in range(5)]
    first = opened(shop, tmp_path, newcomers=2)
    put(first, several)
    asked = [first.recommend(user, user).asked for user in WOOL]
    pages = [[first.names.ids[item] for item in first.walk(one).slates.items[0]] for one in asked]
    assert any(name[0] == "n" for page in pages for name in page)
    first.close()
    again = opened(shop, tmp_path, newcomers=2)
    again.shelf.refresh()
    assert [again.names.ids[number] for number in again.shelf.since] != [f"n{n}" for n in range(5)], "numbered otherwise"
    assert [[again.names.ids[item] for item in again.walk(one).slates.items[0]] for one in asked] == pages
    again.close()


@pytest.mark.parametrize("most", [0, 1])
def test_without_them_a_page_is_what_it_was_to_the_bit(shop, tmp_path, most):
    """none: nothing was put that has kin, or no newcomers are wanted."""
    plain = opened(shop, tmp_path / "plain", newcomers=0)
    other = opened(shop, tmp_path / "other", newcomers=most)
    put(other, [MUFF if most == 0 else Item(item_id="odd", title="Qxzzy")])
    for user in WOOL:
        mine, theirs = (one.walk(one.recommend(user, f"r {user}", seed=7).asked) for one in (plain, other))
        np.testing.assert_array_equal(mine.slates.items, theirs.slates.items)
        np.testing.assert_array_equal(mine.slates.log_prob, theirs.slates.log_prob)
        for stage, scores in mine.candidates.scores.items():
            np.testing.assert_array_equal(theirs.candidates.scores[stage], scores)
    for one in (plain, other):
        one.close()


def test_it_is_logged_by_its_id_with_its_scores_and_chance(shop, tmp_path):
    service = opened(shop, tmp_path)
    put(service, [MUFF])
    given = [service.recommend(user, f"r {user}") for user in WOOL]
    service.close()
    logged = pl.read_parquet(sorted((tmp_path / "candidates").glob("*/*.parquet"))).filter(pl.col("item_id") == "muff")
    shown = logged.filter(pl.col("stage") == "shown")
    chance = {one.asked.request_id: item.propensity for one in given for item in one.page if item.item_id == "muff"}
    assert dict(zip(shown["request_id"], shown["propensity"], strict=True)) == pytest.approx(chance)
    assert chance
    assert [score["stage"] for score in shown["scores"][0]] == ["newcomers", "prerank", "rank"]


def test_answers_go_on_while_the_texts_of_a_put_are_read(service, monkeypatch):
    begun, go_on, read = threading.Event(), threading.Event(), service.new_items._found

    def slow(texts):
        begun.set()
        assert go_on.wait(60)
        return read(texts)

    put(service, [MUFF])
    monkeypatch.setattr(service.new_items, "_found", slow)
    with ThreadPoolExecutor(1) as pool:
        putting = pool.submit(put, service, [Item(item_id="scarf", title="Scarf", text="made of wool", categories=["wool"])])
        assert begun.wait(60)
        assert shown_to(service, WOOL)
        assert service.shelf.number("scarf") is None
        go_on.set()
        assert putting.result().items[0].recommendable


def test_of_too_many_the_newest_are_newcomers(service, monkeypatch):
    monkeypatch.setattr(newcomers, "MOST", 3)
    for n in range(5):
        put(service, [MUFF.model_copy(update={"item_id": f"muff {n}"})])
    walked = service.walk(service.recommend("wool1", "r").asked)
    assert [service.names.ids[number] for number in walked.cascade.newcomers.numbers] == ["muff 2", "muff 3", "muff 4"]


def test_without_a_text_encoder_words_are_read_all_the_same(pipeline, tmp_path):
    """The small shop has titles and categories, and no item vectors."""
    service = opened(pipeline, tmp_path)
    new = Item(item_id="new", title="Product 3", categories=["half 0", "third 0"])
    assert put(service, [new]).items[0].recommendable
    assert shown_to(service, [f"c{n}" for n in range(20)], "new")
    service.close()


def test_a_generation_that_never_knew_an_item_which_another_s_build_has_shows_it_as_a_newcomer(service, shop, tmp_path):
    """As after a rollback: what was put of it was put of an item that could be shown before."""
    row = service.shelf.table.rows(["wool 1"])["wool 1"] | {"item_id": "muff", "text": MUFF.text}
    service.shelf.catalogue.put([{"item_id": "muff", "price": 4.0}], {"muff": row}, service.now_us())
    later = Service(shop, tmp_path / "logs", beside=service)
    try:
        party = later.new_items.of_moment(later.now_us())
        assert party is not None
        assert "muff" in party.ids
        assert later.recommend("wool1", "after the rollback").page
    finally:
        later.close()


def test_a_put_reads_what_came_before_while_others_come(service, monkeypatch):
    put(service, [MUFF, Item(item_id="tin", title="Tin")])

    class Coming(dict[Any, Any]):
        """Another thread hears of an item whenever this one is looked through."""

        def values(self):
            for number, kept in self.items():
                yield kept
                self[10**6 + number] = kept

        __iter__ = values

    monkeypatch.setattr(service.shelf, "since", Coming(service.shelf.since))
    read = []
    monkeypatch.setattr(service.new_items, "kin_of", lambda texts: read.extend(texts))
    service.new_items.read([{"item_id": "muff", "title": "Cuff"}, {"item_id": "cap", "title": "Cap"}, {"item_id": "wool 1"}])
    assert read == ["Cuff\nmade of wool, warm and soft\nwool", "Cap"]
