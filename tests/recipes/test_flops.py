from headrace.contracts.training import TrainConfig
from headrace.methods.retrieve.sasrec import SASRec, SASRecConfig
from headrace.nn.seeded import seeded
from headrace.recipes.flops import flops_of_an_epoch, with_epochs_of
from headrace.testing.examples import interactions_of

D, N = 8, 40


def learned(rows, **more):
    model = SASRec(SASRecConfig(dim=D, layers=1, heads=1, length=6, batch_size=8, **more))
    with seeded(0, "init"):
        return model.learn(interactions_of(rows, N), {})


def test_they_are_those_of_the_matrix_products():
    """16 rows of 4 positions: qkv, out and both feed-forward maps are 12 d² a position, attention 2 T d; all thrice."""
    made = learned([[1, 2, 3, 4, 5]] * 16)
    positions, body = 64, 12 * D**2 + 2 * 4 * D
    assert flops_of_an_epoch(made, {}) == 2 * 3 * positions * (body + N * D)


def test_more_batches_of_the_same_cost_as_much_more():
    one, four = (flops_of_an_epoch(learned([[1, 2, 3, 4, 5]] * rows), {}) for rows in (16, 64))
    assert four == 4 * one


def test_counting_leaves_the_model_as_it_was():
    made = learned([[1, 2, 3, 4, 5]] * 16)
    before = {name: values.clone() for name, values in made.module.state_dict().items()}
    made.module.eval()
    flops_of_an_epoch(made, {})
    assert not made.module.training
    assert all(values.equal(before[name]) for name, values in made.module.state_dict().items())
    assert all(parameter.grad is None for parameter in made.module.parameters())


def test_epochs_are_what_the_flops_buy():
    made = learned([[1, 2, 3, 4, 5]] * 16)
    each = flops_of_an_epoch(made, {})
    bought = [with_epochs_of(share * each, made, TrainConfig(), {}).epochs for share in (0.1, 2.4, 2.6)]
    assert bought == [1, 2, 3]
