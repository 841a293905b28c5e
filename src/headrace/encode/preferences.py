"""A sentence of wishes to vectors: cut into short instructions, each with a polarity, each encoded by itself.

    read("Dark comedies, but no horror or gore")    dark comedies +1    no horror -1    gore -1
    slots_of([sentence, None], encoder)             float32 [2, SLOTS, dim + 1]; the last column is the polarity, 0: empty

A sentence is cut at , ; . : ! ? and line ends, at "and", "or", "nor", "but", and before each word of NEGATIONS, which makes what
follows it unwanted up to the next cut. After "and", "or" and "nor" that goes on, unless a word of WISHES comes first. Both lists
are English and short; in another language every instruction is simply wanted. "Don't mind horror" and "not only horror" are
read wrongly. A sentence is data: nothing in it is obeyed.
What is encoded is what an instruction is about ("horror"): its words without NEGATIONS, WISHES and FILLERS, so that one from a
template and a user's own words meet. `as_said`: the words as they stand, for a model that is to see the "no" in the vector.
Cost O(words), and one encoding an instruction. It is no parser: "comedies, not the romantic kind" is about "romantic kind".
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headrace.contracts.requests import Float32
from headrace.contracts.seams import Encoder

SLOTS = 5
"""Instructions of a sentence that are kept."""
WORDS = 200
"""Words of a sentence that are read; of what has no blanks, LETTERS."""
LETTERS = 4000
NEGATIONS = frozenset((
    "no", "not", "avoid", "avoiding", "without", "exclude", "excluding", "except", "nothing", "never", "neither", "don't", "dont",
    "doesn't", "isn't", "aren't", "won't", "hate", "dislike", "skip",
))  # fmt: skip
WISHES = frozenset((
    "find", "search", "show", "give", "want", "like", "love", "prefer", "recommend", "need", "only", "more", "something",
    "anything",
))  # fmt: skip
FILLERS = frozenset((
    "i", "i'm", "i'd", "me", "my", "you", "we", "a", "an", "the", "some", "any", "to", "for", "of", "in", "on", "with", "is",
    "are", "was", "be", "do", "does", "would", "could", "please", "that", "this", "it", "there", "by", "from", "at", "as", "so",
    "too", "very", "really", "much", "also", "just", "watch", "see", "look", "looking", "read", "buy", "feel", "today", "tonight",
    "which", "what", "kind",
))  # fmt: skip
_CUT = re.compile(r"([,;.:!?\n\r]+(?=\s|$)|[\n\r]+|\b(?:and|or|nor|but)\b)", re.IGNORECASE)
_WORD = re.compile(r"\w+(?:[.'-]\w+)*")
_GOES_ON = ("and", "or", "nor")


@dataclass(frozen=True)
class Instruction:
    """text: as it was said. about: less the words that say nothing of it. polarity: +1 wanted, -1 to be avoided."""

    text: str
    about: str
    polarity: int


@dataclass(frozen=True)
class Preference:
    """cut: what was left out of a long sentence, in words for who wrote it; "" if nothing."""

    instructions: tuple[Instruction, ...]
    cut: str = ""


def read(sentence: str, *, most: int = SLOTS) -> Preference:
    """An empty sentence, or one of such words alone, has no instruction."""
    said = _plain(sentence).split(" ")
    kept = " ".join(said[:WORDS])[:LETTERS]
    whole = len(said) <= WORDS and len(kept) == len(" ".join(said))
    cut = "" if whole else f"The preference has {len(said):,} words; the first {len(kept.split(' '))} were read."
    parts = _CUT.split(kept)
    found: list[Instruction] = []
    polarity = 1
    for text, before in zip(parts[::2], ["", *parts[1::2]], strict=True):
        if before.lower() not in _GOES_ON:
            polarity = 1
        for piece in _before_negations(text):
            words = [word.lower() for word in _WORD.findall(piece)]
            if any(word in NEGATIONS for word in words):
                polarity = -1
            elif any(word in WISHES for word in words):
                polarity = 1
            if about(piece):
                found.append(Instruction(piece.strip(), about(piece), polarity))
    if len(found) > most:
        cut = cut or f"The preference has {len(found)} instructions; the first {most} were read."
    return Preference(tuple(found[:most]), cut)


def about(text: str) -> str:
    """An instruction's words without those that say nothing of what it is about."""
    words = _WORD.findall(_plain(text))
    return " ".join(word for word in words if word.lower() not in NEGATIONS | WISHES | FILLERS)


def slots_of(sentences: Sequence[str | None], encoder: Encoder, *, slots: int = SLOTS, as_said: bool = False) -> Float32:
    """[R, slots, dim + 1], what `requests.features["preference"]` holds. None: no preference."""
    read_ = [read(sentence, most=slots).instructions if sentence else () for sentence in sentences]
    found = np.zeros((len(sentences), slots, encoder.dim + 1), np.float32)
    rows = np.repeat(np.arange(len(read_)), [len(one) for one in read_])
    places = np.array([place for one in read_ for place in range(len(one))], np.int64)
    said = [instruction for one in read_ for instruction in one]
    texts = [one.text if as_said else one.about for one in said]
    found[rows, places] = signed(texts, [one.polarity for one in said], encoder)
    return found


def instructions_of(texts: Sequence[str], polarity: Sequence[int], encoder: Encoder, *, as_said: bool = False) -> Float32:
    """[n, dim + 1]: what are instructions already and whose polarity is known, a slot each."""
    return signed(texts if as_said else [about(text) for text in texts], polarity, encoder)


def signed(texts: Sequence[str], polarity: Sequence[int], encoder: Encoder) -> Float32:
    """[n, dim + 1]: each text's vector and its polarity."""
    if not len(texts):
        return np.zeros((0, encoder.dim + 1), np.float32)
    vectors = encoder.encode(texts, "item")
    return np.concatenate([vectors, np.asarray(polarity, np.float32)[:, None]], 1)


def _before_negations(text: str) -> list[str]:
    """Cut before each negation that does not follow on another."""
    places = [0]
    after_one = False
    for word in _WORD.finditer(text):
        negates = word[0].lower() in NEGATIONS
        if negates and not after_one:
            places.append(word.start())
        after_one = negates
    return [text[start:end] for start, end in zip(places, [*places[1:], len(text)], strict=True)]


def _plain(text: str) -> str:
    """Straight apostrophes, blanks for what can't be seen."""
    straight = text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return re.sub(r"[^\S\n]+", " ", "".join(one if one.isprintable() or one == "\n" else " " for one in straight)).strip()
