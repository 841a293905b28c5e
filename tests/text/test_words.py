"""Texts cut into words."""

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.text import words
from headrace.text.words import PATTERN, documents_of, portions, word_counts, words_of


def spelt(text: str) -> list[str]:
    found = words_of([text], PATTERN)
    return [bytes(found.spelt.document(number).tolist()).decode() for number in found.used.tolist()]


def test_words_as_people_write_them():
    assert spelt("He didn't say 12345 films,  really!\n\nÜber naïve 日本.") == [
        "He", " didn", "'t", " say", " 123", "45", " films", ",", "  ", "really", "!", "\n\n", "Über", " naïve", " 日本", ".",
    ]  # fmt: skip


@given(texts=st.lists(st.text(max_size=30), max_size=5), few=st.sampled_from([0, 1_000]))
@settings(deadline=None)
def test_no_character_is_lost(texts, few):
    before, words._FEW = words._FEW, few
    try:
        found = words_of(texts, PATTERN)
    finally:
        words._FEW = before
    again = documents_of(found.spelt, found.used, found.counts)
    assert [bytes(again.document(number).tolist()).decode() for number in range(len(texts))] == texts


def test_counts_do_not_change_with_the_order(monkeypatch):
    texts = ["a b a", "b c", "a", ""]
    wanted = [(" a", 1), (" b", 1), (" c", 1), ("a", 2), ("b", 1)]
    assert sorted(word_counts(texts, PATTERN).rows()) == wanted
    monkeypatch.setattr(words, "_AT_ONCE", 2)
    assert len(list(portions(texts))) == 3
    assert word_counts(texts[::-1], PATTERN).equals(word_counts(texts, PATTERN))
    assert word_counts(texts, PATTERN)["count"].to_list() == [2, 1, 1, 1, 1]
    assert word_counts([], PATTERN).is_empty()
