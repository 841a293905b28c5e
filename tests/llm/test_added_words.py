"""New words beside a model's own: read and said by rows of their own, and gone on from by beams without a copy of the past."""

import itertools

import pytest
import torch
from torch.testing import assert_close

from headrace.contracts.errors import DataError
from headrace.llm.added_words import AddedWords, Going
from headrace.llm.lora import LoraConfig
from headrace.testing.tiny_llama import tiny

BLOCKS = [slice(0, 3), slice(3, 5), slice(5, 9)]
RANK_2 = LoraConfig(rank=2, dropout=0.0)


def words(prompt="tea, hot:", seed=0):
    read = tiny()
    made = AddedWords(read, 9, RANK_2, seed=seed, prompt=prompt).eval()
    with torch.no_grad():  # at first all words are equally likely
        made.output.add_(torch.randn(made.output.shape, generator=torch.Generator().manual_seed(seed)) * 0.3)
    return made, read


def past(rows=2, length=6):
    return torch.randint(0, 9, (rows, length), generator=torch.Generator().manual_seed(1))


def test_its_states_are_those_of_a_model_with_the_rows_in_its_vocabulary():
    """The same model, its tables longer by the new rows, asked for tokens in the usual way."""
    made, read = words()
    ids = torch.cat([made.prompt.expand(2, -1), len(read.tokenizer) + past()], 1)
    with torch.no_grad():
        states = made.states(past())
        found = states @ made.output.T
    longer = tiny().model
    longer.resize_token_embeddings(len(read.tokenizer) + 9, mean_resizing=False)
    with torch.no_grad():
        longer.get_input_embeddings().weight[-9:] = made.rows
        longer.get_output_embeddings().weight[-9:] = made.output
        wanted = longer(input_ids=ids).logits[:, len(made.prompt) :, -9:]
    assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_only_the_adapter_and_the_rows_learn_and_are_kept():
    made, _ = words()
    learning = {name for name, one in made.named_parameters() if one.requires_grad}
    assert set(made.state_dict()) == learning
    assert {name for name in learning if "lora_" not in name} == {"rows", "output"}
    other, _ = words(seed=1)
    assert not other.rows.equal(made.rows)
    other.load_state_dict(made.state_dict())
    with torch.no_grad():
        assert other.states(past()).equal(made.states(past()))
    for name in ("rows", next(name for name in learning if "lora_A" in name)):
        lacking = {key: value for key, value in made.state_dict().items() if key != name}
        with pytest.raises(RuntimeError, match=name.replace(".", r"\.")):
            other.load_state_dict(lacking)


def test_at_first_all_words_are_equally_likely():
    made = AddedWords(tiny(), 9, RANK_2, seed=0, prompt="tea")
    with torch.no_grad():
        assert_close((made.states(past()) @ made.output.T).softmax(-1), torch.full((2, 6, 9), 1 / 9))
    assert made.rows.std(0).min() > 0


def test_nothing_sees_what_follows_it():
    made, _ = words()
    other = past().clone()
    other[:, 4:] = (other[:, 4:] + 1) % 9
    with torch.no_grad():
        assert_close(made.states(past())[:, :4], made.states(other)[:, :4])
        assert not torch.allclose(made.states(past())[:, 4:], made.states(other)[:, 4:], atol=1e-3)


def test_beams_of_one_past_are_what_each_is_alone():
    """Three levels, beams that cross: each log-probability against the whole row read anew."""
    made, _ = words()
    read = past(2, 4)
    going = Going(made, read, BLOCKS)
    first = going.first()
    chosen = torch.tensor([[2, 0, 1], [1, 2, 0]])
    second = going.next(torch.zeros_like(chosen), chosen, 1)
    origin, codes = torch.tensor([[1, 1, 0, 2], [2, 0, 0, 1]]), torch.tensor([[0, 1, 1, 0], [1, 0, 1, 1]])
    third = going.next(origin, codes, 2)
    for row, beam in itertools.product(range(2), range(4)):
        parent = chosen[row, origin[row, beam]]
        whole = torch.cat([read[row], torch.stack([parent, 3 + codes[row, beam]])]).unsqueeze(0)
        with torch.no_grad():
            said = made.states(whole)[0] @ made.output.T
        assert_close(first[row], said[3, BLOCKS[0]].log_softmax(-1), atol=1e-5, rtol=1e-4)
        assert_close(second[row, origin[row, beam]], said[4, BLOCKS[1]].log_softmax(-1), atol=1e-5, rtol=1e-4)
        assert_close(third[row, beam], said[5, BLOCKS[2]].log_softmax(-1), atol=1e-5, rtol=1e-4)


def test_without_a_prompt_and_with_control_tokens_in_it():
    plain, _ = words(prompt="")
    assert plain.states(past()).shape == (2, 6, 32)
    made, read = words(prompt="<|out|>tea")
    assert read.tokenizer.convert_tokens_to_ids("<|out|>") not in made.prompt.tolist()


def test_what_it_does_not_see_the_whole_of_is_refused():
    made, _ = words()
    with pytest.raises(DataError, match="the model sees 256"):
        made.states(past(1, 256))
    with pytest.raises(DataError, match="Read fewer items"):
        Going(made, past(1, 256 - len(made.prompt)), BLOCKS)
