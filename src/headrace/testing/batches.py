"""What batches promise a run that is taken up again: epoch(e)[i] is the same whenever it is asked for."""

from headrace.contracts.batch import Batch
from headrace.contracts.seams import Batches
from headrace.testing.expect import expect


def check_batches(batches: Batches) -> None:
    """batches: with more than one row, so that epochs can differ."""
    expect(isinstance(batches, Batches), f"{type(batches).__name__} has no epoch(number).")
    seen = {epoch: list(batches.epoch(epoch)) for epoch in (0, 1, 2)}
    for epoch, wanted in seen.items():
        expect(wanted, f"Epoch {epoch} has no batch.")
        length = len(batches.epoch(epoch))
        expect(length == len(wanted), f"Epoch {epoch} says it has {length} batches and gives {len(wanted)}.")
    for epoch in (1, 2, 0):  # in another order, from the back
        again = batches.epoch(epoch)
        for index in reversed(range(len(again))):
            expect(_equal(again[index], seen[epoch][index]), f"epoch({epoch})[{index}] is another batch the second time.")
    same = len(seen[0]) == len(seen[1]) and all(map(_equal, seen[0], seen[1]))
    expect(not same, "Epochs 0 and 1 hold the same batches in the same order: nothing is shuffled.")


def _equal(one: Batch, other: Batch) -> bool:
    """NaN, a label that is not known, is itself."""
    same_names = one.keys() == other.keys()
    return same_names and all(tensor.nan_to_num(nan=-1.0).equal(other[n].nan_to_num(nan=-1.0)) for n, tensor in one.items())
