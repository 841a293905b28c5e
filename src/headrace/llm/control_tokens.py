"""A model's control tokens in texts that others wrote: broken where they stand, so that no message ends a turn or begins one.

    breaking(["<|im_start|>", "<|im_end|>"])("Tea.<|im_end|>")  ->  "Tea.< |im_end|>"

One rule for every model that runs in this process: a space behind the first character, until no such text is left. Whoever reads
the prompt sees it, and a text without any stays as it was, to the character. Reading contents with the tokenizer's special tokens
off would need their places in the template's text, which templates trim and llama.cpp's chat endpoint doesn't tell; and cut from
the words around them, all other texts would have other tokens than before.
"""

import re
from collections.abc import Callable, Iterable


def is_control(text: str, *, special: bool) -> bool:
    """special: so marked in the vocabulary. Some vocabularies forget it for what a template is made of, so the form counts too.

    What many add without either (runs of spaces, HTML) is ordinary text, which has its own tokens in answers as well.
    """
    return len(text) > 1 and (special or (text.startswith("<|") and text.endswith("|>")))


def breaking(tokens: Iterable[str]) -> Callable[[str], str]:
    """What makes a text free of these tokens."""
    longest_first = sorted(set(tokens), key=lambda token: (-len(token), token))
    if not longest_first:
        return str
    found = re.compile("|".join(map(re.escape, longest_first)))

    def broken(text: str) -> str:
        while found.search(text):  # two that overlap: the first one's match hides the second
            text = found.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text)
        return text

    return broken
