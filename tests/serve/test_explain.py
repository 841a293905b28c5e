import numpy as np
import polars as pl
import pytest

from headrace.contracts.serving import ServeConfig
from headrace.serve.explain import explain
from headrace.serve.service import Service
from tests.serve.test_service import bought


def test_it_says_of_each_item_who_proposed_it_and_what_each_stage_made_of_it(service):
    given = service.recommend("c1", "r1", exclude=["p0"])
    found = explain(service, "r1")
    assert found is not None
    assert found.worked_out_again
    assert [one.item_id for one in found.items] == [one.item_id for one in given.page]
    assert [one.propensity for one in found.items] == [one.propensity for one in given.page]
    walked = service.walk(given.asked)
    for one, item in zip(found.items, walked.slates.items[0], strict=True):
        place = walked.recalled.items[0] == item
        assert one.proposed_by == [name for name, scores in walked.recalled.scores.items() if not np.isnan(scores[0][place])]
        assert [stage.stage for stage in one.stages] == [*one.proposed_by, "prerank", "rank"]
        last = one.stages[-1]
        assert last.rank == given.page[one.position - 1].rank
        assert bool(one.acted) == (given.page[one.position - 1].rank > one.position)
        assert all(stage.rank and stage.of and 1 <= stage.rank <= stage.of for stage in one.stages)
    assert any("exclude: 1" in rule for rule in found.rules)
    assert any("seen_items" in rule for rule in found.rules)


def test_a_logged_request_is_worked_out_again_after_a_restart(pipeline, tmp_path):
    first = Service(pipeline, tmp_path)
    first.recommend("c1", "r1")
    before = explain(first, "r1")
    first.close()
    again = Service(pipeline, tmp_path)
    assert again.recent("r1") is None
    assert explain(again, "r1") == before
    assert explain(again, "never asked") is None
    again.close()


def test_where_it_comes_out_otherwise_the_log_alone_speaks(pipeline, tmp_path):
    first = Service(pipeline, tmp_path, ServeConfig(recent=0))
    first.receive([bought("new", f"p{number}", event_id=f"e{number}") for number in range(5)])
    given = first.recommend("new", "r1")
    first.close()
    again = Service(pipeline, tmp_path)
    again.state.forget("new")
    found = explain(again, "r1")
    assert found is not None
    assert not found.worked_out_again
    assert [one.item_id for one in found.items] == [one.item_id for one in given.page]
    assert [one.propensity for one in found.items] == pytest.approx([one.propensity for one in given.page])
    assert all(one.stages and one.stages[0].rank is None for one in found.items)
    again.close()
    assert len(pl.read_parquet(sorted((tmp_path / "requests").glob("*/*.parquet")))) == 1
