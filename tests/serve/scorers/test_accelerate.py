import logging
import shutil
from dataclasses import replace

import numpy as np
import torch

from headrace.artifacts.store import MANIFEST
from headrace.cascade.run import open_run
from headrace.methods.rank.dcnv2 import DCNv2
from headrace.serve.scorers.accelerate import SCORE, SEQUENCE, USER, ScorerSessions, SequenceSession, accelerated


def some(pipeline):
    users = np.arange(1, 31, dtype=np.int32)
    return pipeline.requests_of(users, np.full(30, pipeline.cuts.last_us + 1))


def test_the_served_cascade_scores_as_the_eager_one(pipeline):
    eager, served = accelerated(pipeline, "torch"), accelerated(pipeline, "onnx")
    assert isinstance(served.retrievers["sasrec"], SequenceSession)
    assert all(isinstance(one.scorer, ScorerSessions) for one in served.scorings)
    requests = some(pipeline)
    left, right = eager.candidates(requests), served.candidates(requests)
    np.testing.assert_array_equal(left.items, right.items)
    for stage, scores in left.scores.items():
        np.testing.assert_allclose(right.scores[stage], scores, atol=1e-5)
    torch.testing.assert_close(torch.tensor(eager.act(requests, seed=1).items), torch.tensor(served.act(requests, seed=1).items))


def test_files_are_made_once(own_run):
    accelerated(open_run(own_run), "onnx")
    made = {path: path.stat().st_mtime_ns for path in (own_run / "store" / "onnx").rglob("*")}
    assert sorted(path.name for path in made if path.suffix) == sorted([MANIFEST] * 3 + [SEQUENCE, *[USER, SCORE] * 2])
    accelerated(open_run(own_run), "onnx")
    assert {path: path.stat().st_mtime_ns for path in (own_run / "store" / "onnx").rglob("*")} == made


def test_what_computes_otherwise_once_traced_runs_in_torch(own_run, monkeypatch, caplog):
    """A trace keeps the branch it saw, here that of two rows."""
    whole = DCNv2.score

    def branching(self, state, candidates):
        outputs = whole(self, state, candidates)
        extra = 0.0 if len(candidates["items"]) == 2 else 1.0
        return replace(outputs, logits={name: logits + extra for name, logits in outputs.logits.items()})

    monkeypatch.setattr(DCNv2, "score", branching)
    shutil.rmtree(own_run / "store" / "onnx", ignore_errors=True)
    pipeline = open_run(own_run)
    with caplog.at_level(logging.WARNING):
        served = accelerated(pipeline, "onnx")
    assert isinstance(served.scorings[-1].scorer, DCNv2)
    assert isinstance(served.scorings[0].scorer, ScorerSessions)
    assert "can't be exported" in caplog.text
    assert served.act(some(pipeline), seed=0).items.any()
