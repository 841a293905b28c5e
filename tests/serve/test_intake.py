import pytest

from headrace.contracts.kinds import Kind
from headrace.data.log import Log
from headrace.data.settings import DataConfig
from headrace.serve.intake import Intake
from headrace.serve.messages import Event, Refused
from headrace.serve.state.layered import LayeredState
from tests.data.tables import some_events, write_tables

NOW_US = 1_770_000_000_000_000
KINDS = {"view": Kind(), "rating": Kind(min_value=1, max_value=5)}


@pytest.fixture
def state(tmp_path):
    (tmp_path / "state").mkdir()
    made = LayeredState(tmp_path / "state", Log.from_tables(write_tables(tmp_path / "tables", some_events())), "k", map_gb=0.1)
    made.timed(lambda: NOW_US)
    yield made
    made.close()


def event(**more):
    return Event(**{"user_id": "u1", "item_id": "i1", "at": "2026-01-01T10:00:00Z", "kind": "view", **more})


def test_the_same_event_is_one_event_with_an_id_and_without(state):
    intake = Intake(state, DataConfig(events="e.csv"), KINDS)
    for one in (event(), event(event_id="mine")):
        assert intake.take([one], NOW_US).stored == 1
        assert intake.take([one], NOW_US + 60_000_000).repeated == 1
    assert intake.take([event(item_id="i2"), event(), event(item_id="i2")], NOW_US).model_dump() == {
        "stored": 1, "repeated": 2, "erased": 0,
    }  # fmt: skip
    _, rows = state.pending()
    assert rows["event_id"].n_unique() == len(rows) == 3
    received = rows["received_at"].dt.timestamp("us").to_list()
    assert received == sorted(set(received)), "one commit after another"
    assert 0 < received[0] - NOW_US < received[-1] - NOW_US < 1_000_000


def test_an_erased_user_s_event_is_taken_from_the_caller_and_kept_nowhere(state):
    intake = Intake(state, DataConfig(events="e.csv"), KINDS)
    state.forget("u1")
    received = intake.take([event(), event(user_id="u2"), event(user_id="u2")], NOW_US)
    assert (received.stored, received.repeated, received.erased) == (1, 1, 1)
    assert state.pending()[1]["user_id"].to_list() == ["u2"]


@pytest.mark.parametrize(
    ("wrong", "field", "says"),
    [
        ({"kind": "veiw"}, "1.kind", 'Did you mean "view"'),
        ({"kind": "rating", "value": 9.0}, "1.value", "outside its kind's range"),
        ({"at": "2031-01-01T00:00:00Z"}, "1.at", "more than a day after"),
        ({"at": "1970-01-01T00:00:00Z"}, "1.at", "before 1990"),
        ({"kind": None}, "1.kind", "several kinds. Kinds: view, rating"),
    ],
)
def test_one_bad_event_refuses_the_list_and_names_the_field(state, wrong, field, says):
    intake = Intake(state, DataConfig(events="e.csv"), KINDS)
    with pytest.raises(Refused, match=says) as refused:
        intake.take([event(), event(**wrong)], NOW_US)
    assert refused.value.problem.field == field
    assert state.pending()[0] == []
    with pytest.raises(Refused) as refused:
        intake.take([event(**wrong)], NOW_US, one=True)
    assert refused.value.problem.field == field.removeprefix("1.")


def test_the_only_kind_need_not_be_said(state):
    intake = Intake(state, DataConfig(events="e.csv", kind="view"), {"view": Kind()})
    intake.take([event(kind=None)], NOW_US)
    assert state.pending()[1]["kind"].to_list() == ["view"]
