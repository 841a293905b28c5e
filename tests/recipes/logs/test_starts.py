import torch

from headrace.recipes.logs import readers
from headrace.recipes.spar import work


def test_a_user_is_the_mean_of_first_tokens(tmp_path):
    (setting,) = work("smoke").settings.values()
    readers.open_films(tmp_path, setting["data"])
    scorer = readers.reader_of(setting, {"ranker": "mean of starts", "settings": {"vectors": 1}, "learning_rate": 0.003}, 0)
    history = torch.tensor([[3, 5, 3, 0, 0, 0], [0] * 6])
    ids = scorer.tokens[torch.tensor([3, 5])].long()
    starts = scorer.reader.states(ids, ids > 0)[:, 0]
    with torch.no_grad():
        found = scorer.user({"history": history})["side"]
        wanted = scorer.out_user((2 * starts[0] + starts[1]) / 3)
    torch.testing.assert_close(found[0, 0], wanted)
    assert not found[1].any(), "who read nothing is zeros"
    items = scorer.score({"side": found}, {"items": torch.tensor([[3, 5], [3, 5]])}).logits["choice"]
    torch.testing.assert_close(items[0] - scorer.bias, scorer.sides[[3, 5], 0] @ found[0, 0])
