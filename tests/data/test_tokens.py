import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headrace.data.tokens import Tokens


def documents_of(tokens):
    return [tokens.document(number).tolist() for number in range(len(tokens))]


rows = st.lists(st.lists(st.integers(0, 99), max_size=5), max_size=6)


@given(rows)
def test_documents_come_back_as_they_went_in(documents):
    tokens = Tokens.of([np.array(document, np.int32) for document in documents])
    assert documents_of(tokens) == documents
    assert tokens.lengths.tolist() == [len(document) for document in documents]
    assert [str(part.dtype) for part in (tokens.ids, tokens.offsets)] == ["int32", "int64"]


@given(rows, st.data())
def test_taken_documents_stand_in_the_order_asked_for(documents, data):
    tokens = Tokens.of([np.array(document, np.int32) for document in documents])
    asked = data.draw(st.lists(st.integers(0, len(documents) - 1), max_size=8) if documents else st.just([]))
    taken = tokens.take(np.array(asked, np.int64))
    assert documents_of(taken) == [documents[number] for number in asked]
    assert [str(part.dtype) for part in (taken.ids, taken.offsets)] == ["int32", "int64"]
