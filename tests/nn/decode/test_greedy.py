import torch

from headrace.nn.decode.greedy import greedy

LAST, WORDS = 2, 7


class Told:
    """Says of row r the tokens that were given, one a step; its state is the number of the step."""

    def __init__(self, says):
        self.says, self.read_so_far = says, []

    def follow(self, rows):
        raise AssertionError("nothing is reordered")

    def read(self, tokens):
        self.read_so_far.append(tokens.tolist())
        step = len(self.read_so_far)
        row = torch.tensor([one[step - 1] if step <= len(one) else 6 for one in self.says])
        return torch.cat([torch.full((len(row), 1), float(step)), torch.nn.functional.one_hot(row, WORDS).float()], 1)


def written(says, most, never=(0,)):
    steps = Told(says)
    found = greedy(
        steps, lambda states: states[:, 1:].clone(), rows=len(says), first=1, last=LAST, never=never, most=most,
        device=torch.device("cpu"),
    )  # fmt: skip
    return *found, steps


def test_each_row_stops_at_its_own_end_and_all_with_the_last():
    tokens, state, steps = written([[4, 5, LAST], [3, LAST], [LAST]], 6)
    assert tokens.tolist() == [[4, 5, 0, 0, 0, 0], [3, 0, 0, 0, 0, 0], [0] * 6]
    assert state[:, 0].tolist() == [3, 2, 1], "the state that said the end"
    assert len(steps.read_so_far) == 3
    assert steps.read_so_far[0] == [1, 1, 1]
    assert steps.read_so_far[1][:2] == [4, 3]


def test_it_is_bounded():
    tokens, state, steps = written([[4, 5, 6, 3], [3, LAST]], 2)
    assert tokens.tolist() == [[4, 5], [3, 0]]
    assert state[:, 0].tolist() == [2, 2]
    assert len(steps.read_so_far) == 2


def test_what_is_no_word_is_never_written():
    assert written([[4, LAST]], 2, never=(0, 4))[0].tolist()[0][0] not in (0, 4)
