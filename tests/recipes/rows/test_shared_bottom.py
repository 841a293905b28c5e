import numpy as np
import torch
from torch.testing import assert_close

from headrace.nn.seeded import seeded
from headrace.recipes.rows.shared_bottom import FlatSharedBottom, chances


def made(tasks=("a", "b")):
    with seeded(0, "flat"):
        return FlatSharedBottom([3, 5], tasks, dim=4, bottom=(6,), hidden=(3,))


def test_the_representation_is_a_cut():
    """No task reaches embeddings or bottom but through what it names as shared."""
    model = made()
    out = model.score(model.user({"codes": torch.tensor([[1, 4], [2, 0]])}), {})
    assert {task: logits.shape for task, logits in out.logits.items()} == {"a": (2, 1), "b": (2, 1)}
    assert out.shared is not None
    total = torch.stack([logits.sum() for logits in out.logits.values()]).sum()
    (at_z,) = torch.autograd.grad(total, out.shared, retain_graph=True)
    below = [model.embedding.weight, *model.norm.parameters(), *model.body.bottom.parameters()]
    through = torch.autograd.grad(out.shared, below, at_z, retain_graph=True)
    assert_close(through, torch.autograd.grad(total, below))


def test_fields_do_not_share_codes():
    model = made()
    rows = np.array([[1, 1], [1, 2], [2, 1]])
    found = chances(model, rows)
    with torch.no_grad():
        model.embedding.weight[3 + 2].add_(1.0)  # code 2 of the second field
    moved = chances(model, rows)
    assert [one != other for one, other in zip(found["a"], moved["a"], strict=True)] == [False, True, False]
