"""What a retriever by index promises beside the same one that compares all: the same scores, few missed, nothing forbidden."""

from typing import Any

import numpy as np

from headrace.contracts.requests import Allowed
from headrace.contracts.rng import rng
from headrace.testing import check_retriever, check_stored
from headrace.testing.examples import some_requests

N, K = 3000, 10
CODES: dict[str, Any] = {"index": "codes", "rescored": 5}


def check_by_index(exact, codes, monkeypatch, *, recall=0.97):
    """exact, codes: fitted alike on N items, withdrawn ones among them."""
    requests = some_requests(40, N)
    (stage,) = codes.retrieve(requests, K, Allowed()).scores
    kinds = {"all": Allowed(), "some": Allowed(rng(0, "some").random(N) < 0.99, requests.history)}
    asked, near = [], codes.nearest.index._near

    def looked_up(*given):
        asked.append(1)
        return near(*given)

    monkeypatch.setattr(codes.nearest.index, "_near", looked_up)
    for name, allowed in kinds.items():
        found, wanted = codes.retrieve(requests, K, allowed), exact.retrieve(requests, K, allowed)
        pairs = list(zip(found.items, wanted.items, strict=True))
        share = sum(len(set(a) & set(b)) for a, b in pairs) / sum(len(set(b)) for _, b in pairs)
        assert share >= recall, f"{name}: {share:.3f}"
        for row, (a, b) in enumerate(pairs):
            both = np.intersect1d(a[a > 0], b)
            one, other = ([dict(zip(items, found_in.scores[stage][row], strict=True))[item] for item in both]
                          for items, found_in in ((a, found), (b, wanted)))  # fmt: skip
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)
            assert allowed.items is None or allowed.items[a[a > 0]].all()
            assert allowed.blocked is None or not np.isin(a[a > 0], allowed.blocked.take([row]).items).any()
            alone = codes.retrieve(requests.take([row]), K, allowed.take([row]))
            assert alone.items[0].tolist() == a.tolist(), "asked alone it finds others"
    assert len(asked) > 80, "the codes are not asked"
    copy = check_stored(codes)
    one, two = (model.retrieve(requests, K, kinds["some"]) for model in (codes, copy))
    assert one.items.tolist() == two.items.tolist()
    assert one.scores[stage].tobytes() == two.scores[stage].tobytes()
    few = Allowed(rng(0, "few").random(N) < 0.02, requests.history)
    assert codes.retrieve(requests, K, few).items.tolist() == exact.retrieve(requests, K, few).items.tolist()


def check_small(codes, n_items=20):
    """The whole contract of a retriever, on a catalogue so small that all are compared."""
    check_retriever(codes, some_requests(n_items=n_items), n_items=n_items)
