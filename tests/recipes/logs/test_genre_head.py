import torch

from headrace.contracts.seams import Loss
from headrace.data.rank_inputs import USERS
from headrace.recipes.logs.genre_head import GENRES, _WithGenres, named_in


def test_a_sentences_genres_are_labels():
    table = named_in(("", "likes drama, western; recently horror", "likes horror", ""))
    assert table.tolist() == [[0, 0, 0], [1, 1, 1], [0, 1, 0], [0, 0, 0]]


class Flat:
    """Foretells every genre alike."""

    def __init__(self, logit):
        self.logit = logit

    def user(self, batch):
        return {"side": torch.zeros(len(batch[USERS]), 2, 4)}

    def head(self, side):
        assert side.shape[1] == 8
        return torch.full((len(side), 3), self.logit)


class Nothing:
    def counts(self, batch):
        return {"choice": 1.0}

    def __call__(self, model, batch, services):
        assert model.user(batch) is model.state
        return {"choice": Loss(torch.tensor(2.0), 1.0)}


def test_who_has_no_sentence_has_no_say():
    table = named_in(("", "likes drama, western; recently horror", "likes horror", ""))
    objective = _WithGenres(Nothing(), table)
    batch = {USERS: torch.tensor([0, 1, 2])}
    losses = objective(Flat(0.0), batch, None)  # type: ignore[arg-type]
    torch.testing.assert_close(losses[GENRES].mean, torch.tensor(3 * torch.log(torch.tensor(2.0)).item()))
    assert losses[GENRES].count == objective.counts(batch)[GENRES] == 2
    assert losses["choice"].mean == 2
    right = objective(Flat(8.0), {USERS: torch.tensor([1])}, None)  # type: ignore[arg-type]
    assert right[GENRES].mean < 0.01
