import torch

from headrace.data.rank_inputs import USERS
from headrace.data.summarised import SUMMARY, SummarisedBatches
from headrace.testing import check_batches


class Same:
    def epoch(self, epoch):
        return [{USERS: torch.tensor([2, 0, 1]) + epoch, "label": torch.ones(3, 2)}, {USERS: torch.tensor([5])}]


TABLE = torch.tensor([[9, 9], [4, 3], [7, 0]], dtype=torch.int32)


def test_each_row_has_its_users_words_and_nobody_has_none():
    batches = SummarisedBatches(Same(), TABLE)
    check_batches(batches)
    first, second = batches.epoch(0)
    assert first[SUMMARY].tolist() == [[7, 0], [0, 0], [4, 3]]
    assert first[SUMMARY].dtype == torch.int64
    assert first["label"].shape == (3, 2)
    assert second[SUMMARY].tolist() == [[0, 0]], "a user since the log was read"
    assert batches.epoch(1)[0][SUMMARY].tolist() == [[0, 0], [4, 3], [7, 0]]
