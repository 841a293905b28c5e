"""What a build's report says of the ranker's user state."""

import json

import numpy as np

from headrace.cascade.evaluation import test_requests as requests_of_the_test_window
from headrace.cascade.scoring import batches_for
from headrace.cascade.user_state import user_states

GROUP = "user state of rank"


def test_it_is_as_large_as_what_the_ranker_keeps_of_one_user(pipeline):
    requests, _ = requests_of_the_test_window(pipeline)
    cascade = pipeline.cascade()
    found = user_states(cascade, requests)
    one = requests.take([3])
    scorer = cascade.scorings[-1].scorer
    state = scorer.user(batches_for(scorer, one, cascade.recall(one))[0])
    assert found.bytes == {name: values.detach().numpy().nbytes for name, values in state.items()}
    assert len(found.candidates) == 32
    assert max(found.candidates) <= 10, "the pre-ranker keeps ten"
    assert 1 <= len(found.make_ms) == len(found.score_ms) <= 32
    assert min(found.make_ms) >= 0
    assert user_states(cascade, requests.take(np.arange(1))).told()["bytes a user"] == found.told()["bytes a user"]


def test_bytes_are_in_the_report_and_times_beside_it(built):
    facts = json.loads((built / "report.json").read_text())["facts"][GROUP]
    assert facts["ranker"] == "dcnv2"
    sizes = [int(part.rsplit(" ", 1)[1].replace(",", "")) for part in facts["of which"].split(", ")]
    assert facts["bytes a user"] == sum(sizes) > 0
    assert not any("ms" in name for name in facts)
    timed = json.loads((built / "timings.json").read_text())[GROUP]
    assert set(timed) == {"CPU ms to make one", "CPU ms to score a request's candidates"}
    assert min(timed.values()) > 0
    shown = (built / "report.html").read_text()
    assert GROUP in shown
    assert "CPU ms to make one" in shown
    assert "bytes a user" in shown
