from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from headrace.data.features import Features
from headrace.data.foundation import USER as UPSTREAM
from headrace.data.rank_inputs import candidate_batch, pairs_in, user_batch
from headrace.methods.rank.centres import Centres
from headrace.methods.rank.dcnv2 import DCNv2, DCNv2Config
from headrace.methods.rank.esmm import ESMM
from headrace.methods.rank.eta import ETA
from headrace.methods.rank.foundation import FoundationRanker
from headrace.methods.rank.mmoe import MMoE
from headrace.methods.rank.ple import PLE
from headrace.methods.rank.shared_bottom import SharedBottom
from headrace.methods.rank.sim import SIM
from headrace.methods.rank.twin import TWIN
from headrace.methods.retrieve.sasrec import SASRec, SASRecConfig
from headrace.nn.seeded import seeded
from headrace.nn.tables import TableConfig
from headrace.serve.scorers import export
from headrace.serve.scorers.accelerate import SCORE, USER, ScorerSessions, SequenceSession, TowerSession
from headrace.serve.scorers.export import export_score, export_sequence, export_towers, export_user
from headrace.testing.examples import some_allowed, some_candidates, some_interactions, some_requests
from tests.methods.examples import SIZES, featured
from tests.methods.prerank import test_two_tower
from tests.methods.rank import (
    long,
    tasks,
    test_centres,
    test_din,
    test_dlrm,
    test_embsum,
    test_esmm,
    test_eta,
    test_foundation,
    test_hisac,
    test_lfm4ads,
    test_masknet,
    test_mean_text,
    test_mmoe,
    test_naml,
    test_nrms,
    test_ple,
    test_shared_bottom,
    test_sim,
    test_spar,
    test_twin,
)
from tests.methods.retrieve import test_standalone
from tests.methods.retrieve import test_two_tower as test_retriever
from tests.methods.upstream import some_foundation

SMALL = DCNv2Config(item_dim=4, feature_dim=3, hidden=(8,), history=5, width=4, batch_size=8)


def dcnv2(sizes, table=None):
    interactions, artifacts = featured(None, sizes)
    model = DCNv2(replace(SMALL, table=table))
    with seeded(0, "init"):
        model.learn(interactions, artifacts)
    return model


def several(settings, kind, sizes, **others):
    """Of several tasks: the file gives the first entry's logits."""
    return tasks.learned(kind, replace(settings.SMALL, **others), sizes=sizes)[0]


MAKERS = {
    "centres": lambda sizes: long.learned(Centres, test_centres.SMALL, sizes=sizes)[0],
    "centres, by time": lambda sizes: long.learned(Centres, replace(test_centres.SMALL, cut="time"), sizes=sizes)[0],
    "dcnv2": dcnv2,
    "dcnv2, hashed": lambda sizes: dcnv2(sizes, TableConfig(hashed=9, hashes=2)),
    "dcnv2, capped": lambda sizes: dcnv2(sizes, TableConfig(hashed=9, least=4, tail=3)),
    "din": lambda sizes: test_din.learned(sizes=sizes)[0],
    "dlrm": lambda sizes: test_dlrm.learned(sizes=sizes)[0],
    "eta": lambda sizes: long.learned(ETA, test_eta.SMALL, sizes=sizes)[0],
    "foundation": lambda sizes: several(test_foundation, FoundationRanker, sizes),
    "hisac": lambda sizes: test_hisac.learned(sizes=sizes)[0],
    "hisac, hard": lambda sizes: test_hisac.learned(
        sizes=sizes, settings=replace(test_hisac.SMALL, routing="hard", rest=True, ages=False)
    )[0],
    "lfm4ads": lambda sizes: test_lfm4ads.learned(test_lfm4ads.WAYS["gate of all"], sizes)[0],
    "lfm4ads, block": lambda sizes: test_lfm4ads.learned(test_lfm4ads.WAYS["both"], sizes)[0],
    "mean_text": lambda sizes: test_mean_text.learned()[0],
    "mean_text, attention": lambda sizes: test_mean_text.learned(test_mean_text.ASKED)[0],
    "naml": lambda sizes: test_naml.learned(sizes=sizes)[0],
    "nrms": lambda sizes: test_nrms.learned()[0],
    "masknet": lambda sizes: test_masknet.learned(sizes=sizes)[0],
    "shared_bottom": lambda sizes: several(test_shared_bottom, SharedBottom, sizes),
    "mmoe": lambda sizes: several(test_mmoe, MMoE, sizes),
    "ple": lambda sizes: several(test_ple, PLE, sizes),
    "embsum": lambda sizes: test_embsum.learned()[0],
    "esmm": lambda sizes: several(test_esmm, ESMM, sizes),
    "esmm, by worth": lambda sizes: several(test_esmm, ESMM, sizes, worth={"purchase": 20.0, "click": 1.0}),
    "sim, hard": lambda sizes: long.learned(SIM, test_sim.SMALL, sizes=sizes or {"item.tags": 5})[0],
    "sim, soft": lambda sizes: long.learned(SIM, test_sim.SOFT, sizes=sizes)[0],
    "spar": lambda sizes: test_spar.learned()[0],
    "twin": lambda sizes: long.learned(TWIN, test_twin.SMALL, sizes=sizes)[0],
    "two_tower": lambda sizes: test_two_tower.learned(sizes=sizes)[0],
}


@pytest.mark.parametrize("sizes", [SIZES, {}], ids=["features", "no features"])
@pytest.mark.parametrize("name", MAKERS)
def test_an_exported_scorer_is_the_eager_one(name, sizes, tmp_path):
    model = MAKERS[name](sizes).eval()
    export_user(model, tmp_path / USER)
    export_score(model, tmp_path / SCORE)
    sessions = ScorerSessions(model, tmp_path)
    for rows, width in ((1, 1), (1, 12), (7, 5)):
        requests = some_requests(rows, seed=rows)
        ages = {one: np.random.default_rng(rows).integers(size, size=rows) for one, size in sizes.items() if one[0] == "u"}
        if UPSTREAM in model.schema:
            vectors = np.random.default_rng(rows).normal(size=(rows, int(model.schema[UPSTREAM].shape[1])))
            vectors[0] = 0  # nobody the upstream has met
            ages[UPSTREAM] = vectors.astype(np.float32)
        candidates = some_candidates(requests, 20, width, seed=width)
        seen = ["one", "two"] if "retrieval" in model.candidate_schema else []
        requests = type(requests)(requests.ids, requests.users, requests.at_us, requests.history, ages)
        pairs = pairs_in(model.candidate_schema)
        codes = {one: np.random.default_rng(width).integers(sizes[one], size=candidates.items.shape) for one in pairs}
        candidates = replace(candidates, features=codes)
        user, batch = user_batch(requests, model.schema), candidate_batch(candidates, seen, pairs)
        batch["items"][0, 0] = 999  # of a catalogue that has grown
        with torch.inference_mode():
            eager = next(iter(model.score(model.user(user), batch).logits.values()))
        torch.testing.assert_close(sessions.score(sessions.user(user), batch).logits["score"], eager, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sizes", [{}, {"user.group": 3, "item.kind": 4}], ids=["no features", "features"])
def test_exported_towers_propose_the_same(sizes, tmp_path):
    interactions = some_interactions()
    codes = {name: np.arange(20, dtype=np.int32) % size for name, size in sizes.items() if name[0] == "i"}
    groups = np.arange(interactions.n_users, dtype=np.int32) % 3
    users = test_retriever.users_of(interactions.n_users, **({"user.group": groups} if sizes else {}))
    features = Features(test_retriever.NOTHING, users, sizes)
    model, made = test_retriever.learned(replace(interactions, features=codes), features)
    test_retriever.trained(model, made, epochs=1)
    model.eval()
    export_towers(model, tmp_path / "towers.onnx")
    session = TowerSession(model, tmp_path / "towers.onnx", "two_tower")
    for rows, longest in ((1, 3), (9, 12)):
        requests = some_requests(rows + 1, longest=longest, seed=rows)
        requests = replace(requests, features={"user.group": np.arange(rows + 1, dtype=np.int32) % 3})
        requests.history.items[0] = 999
        allowed = some_allowed(requests)
        found, eager = session.retrieve(requests, 8, allowed), model.retrieve(requests, 8, allowed)
        np.testing.assert_array_equal(found.items, eager.items)
        np.testing.assert_allclose(found.scores["two_tower"], eager.scores["two_tower"], atol=1e-5)


def test_by_index_only_what_it_is_asked_with_is_exported(tmp_path):
    """So no product with the catalogue is worked out, and items' vectors lie in no file a second time."""
    settings = replace(test_retriever.SMALL, index="codes")
    model, _ = test_retriever.learned(some_interactions(200, 3000), settings=settings)
    export_towers(model, tmp_path / "towers.onnx")
    session = TowerSession(model, tmp_path / "towers.onnx", "two_tower")
    assert session.session.get_outputs()[0].shape == ["rows", settings.dim]
    sequence = SASRec(SASRecConfig(dim=8, layers=1, heads=2, length=6, index="codes"))
    with seeded(0, "init"):
        sequence.learn(some_interactions(200, 3000), {})
    export_sequence(sequence, tmp_path / "model.onnx")
    sessions: dict[str, Any] = {
        "two_tower": (model, session),
        "sasrec": (sequence, SequenceSession(sequence, tmp_path / "model.onnx", "sasrec")),
    }
    for name, (eager, served) in sessions.items():
        for k in (20, 400):  # by codes, and where all are compared
            requests = some_requests(9, 3000)
            allowed = some_allowed(requests, 3000)
            found, wanted = served.retrieve(requests, k, allowed), eager.retrieve(requests, k, allowed)
            for row, (some, others) in enumerate(zip(found.items, wanted.items, strict=True)):
                both = np.intersect1d(some, others)
                assert len(both) >= 0.95 * len(np.unique(others)), name  # scores alike to 1e-5: the last ones may be others
                one, two = (
                    dict(zip(answer.items[row].tolist(), answer.scores[name][row].tolist(), strict=True))
                    for answer in (found, wanted)
                )
                np.testing.assert_allclose([one[item] for item in both], [two[item] for item in both], atol=1e-5)


@pytest.mark.parametrize("settings", [test_standalone.SMALL, test_standalone.FRESH], ids=["transferred", "fresh"])
def test_an_exported_standalone_retriever_proposes_the_same(settings, tmp_path):
    sizes, foundation = {"user.group": 3, "item.kind": 4}, some_foundation()
    model, made = test_standalone.learned(settings, sizes=sizes)
    test_standalone.trained(made, epochs=1)
    export_towers(model.eval(), tmp_path / "towers.onnx")
    session = TowerSession(model, tmp_path / "towers.onnx", "standalone")
    for rows in (2, 9):
        requests = test_standalone.asked(some_requests(rows, seed=rows), foundation, sizes)
        allowed = some_allowed(requests)
        found, eager = session.retrieve(requests, 8, allowed), model.retrieve(requests, 8, allowed)
        np.testing.assert_array_equal(found.items, eager.items)
        np.testing.assert_allclose(found.scores["standalone"], eager.scores["standalone"], atol=1e-5)


@pytest.fixture(scope="module")
def sasrec():
    model = SASRec(SASRecConfig(dim=8, layers=2, heads=2, length=6))
    with seeded(0, "init"):
        model.learn(some_interactions(), {})
    return model.eval()


def test_an_exported_sequence_model_proposes_the_same(sasrec, tmp_path):
    export_sequence(sasrec, tmp_path / "model.onnx")
    session = SequenceSession(sasrec, tmp_path / "model.onnx", "sasrec")
    for rows, longest in ((1, 3), (9, 12)):
        requests = some_requests(rows + 1, longest=longest, seed=rows)
        requests.history.items[0] = 999
        allowed = some_allowed(requests)
        found, eager = session.retrieve(requests, 8, allowed), sasrec.retrieve(requests, 8, allowed)
        np.testing.assert_array_equal(found.items, eager.items)
        np.testing.assert_allclose(found.scores["sasrec"], eager.scores["sasrec"], atol=1e-5)
        assert not found.there[0].any(), "without a history there is no sequence"


def test_large_weights_lie_beside_the_file_and_change_nothing(sasrec, tmp_path, monkeypatch):
    export_sequence(sasrec, tmp_path / "whole.onnx")
    monkeypatch.setattr(export, "_LARGE_BYTES", 1)
    export_sequence(sasrec, tmp_path / "apart.onnx")
    assert not (tmp_path / "whole.onnx.weights").exists()
    assert (tmp_path / "apart.onnx.weights").stat().st_size > 1000
    requests = some_requests(9, longest=12, seed=9)
    whole, apart = (
        SequenceSession(sasrec, tmp_path / f"{name}.onnx", "sasrec").retrieve(requests, 8, some_allowed(requests))
        for name in ("whole", "apart")
    )
    assert whole.items.tolist() == apart.items.tolist()
    assert whole.scores["sasrec"].tobytes() == apart.scores["sasrec"].tobytes()
