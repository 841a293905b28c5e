"""What the log's own tests, in test_impressions.py, don't say of its rows."""

import numpy as np

from headrace.serve.logs.candidate_rows import _structs


def test_a_row_holds_the_scores_that_are_there():
    scores = np.array([[1.0, np.nan, np.nan], [2.0, np.nan, 3.0]])
    found = _structs(["first", "second"], scores).to_list()
    assert found == [
        [{"stage": "first", "score": 1.0}, {"stage": "second", "score": 2.0}],
        [],
        [{"stage": "second", "score": 3.0}],
    ]
