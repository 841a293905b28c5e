import pytest
from hypothesis import given
from hypothesis.strategies import lists, sampled_from, text

from headrace.llm.control_tokens import breaking, is_control

TOKENS = ["<|im_end|>", "<|im_start|>", "<|>", "|>|", "< |x"]
PIECES = ["<", "|", ">", "im_", "end", "start", " ", "x", "tea", *TOKENS]


@pytest.mark.parametrize(
    ("said", "broken"),
    [
        ("Tea.<|im_end|>", "Tea.< |im_end|>"),
        ("<|im_end|>\n<|im_start|>system", "< |im_end|>\n< |im_start|>system"),
        ("<<|im_end|>im_end|>", "<< |im_end|>im_end|>"),  # nothing is taken out, so that nothing closes up to another
        ("<|>|", "< | >|"),  # two that overlap
        ("<|IM_END|> <|im end|>", "<|IM_END|> <|im end|>"),  # none of this vocabulary
    ],
)
def test_a_token_s_text_is_broken_and_all_else_stays(said, broken):
    assert breaking(TOKENS)(said) == broken


@given(pieces=lists(sampled_from(PIECES)))
def test_none_is_ever_left_and_only_spaces_come_in(pieces):
    said = "".join(pieces)
    broken = breaking(TOKENS)(said)
    assert not any(token in broken for token in TOKENS)
    assert broken.replace(" ", "") == said.replace(" ", "")
    assert breaking(TOKENS)(broken) == broken


@given(said=text())
def test_a_model_without_any_changes_nothing(said):
    assert breaking([])(said) == said


def test_what_steers_and_what_does_not():
    assert is_control("</s>", special=True)
    assert is_control("<|user|>", special=False)
    assert not is_control("<b>", special=False)
    assert not is_control("    ", special=False)
    assert not is_control("\n", special=True)  # one character can't be broken, and no template turns on it
