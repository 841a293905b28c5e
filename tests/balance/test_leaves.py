import torch

from headrace.balance.leaves import leaves
from tests.balance.tasks import Tasks, losses, rows


def test_a_loss_hangs_on_the_body_and_its_own_head():
    model = Tasks()
    z, found = losses(model, rows())
    ids = lambda some: {id(one) for one in some}  # noqa: E731
    assert ids(leaves(found["buy"])) == ids([*model.body.parameters(), *model.heads["buy"].parameters()])
    assert ids(leaves(found["buy"], upto=z)) == ids(model.heads["buy"].parameters())
    assert ids(leaves(z)) == ids(model.body.parameters())


def test_a_way_past_the_representation_is_found():
    a, b = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))
    z = a * 2
    found = leaves((z * b).sum() + a.sum(), upto=z)
    assert {id(one) for one in found} == {id(a), id(b)}
    assert leaves(z, upto=z) == leaves(torch.ones(1)) == []


def test_another_part_of_the_same_node_is_no_end():
    a = torch.nn.Parameter(torch.arange(4.0))
    z, other = a.split(2)
    assert leaves(z.sum(), upto=z) == []
    assert len(leaves(other.sum(), upto=z)) == 1
