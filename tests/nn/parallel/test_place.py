import torch
from hypothesis import given
from hypothesis.strategies import integers, lists

from headrace.nn.parallel.place import Cut, Piece, Place, part_of


@given(size=integers(0, 50), of=integers(1, 9))
def test_parts_are_even_and_leave_nothing_out(size, of):
    parts = [part_of(size, number, of) for number in range(of)]
    assert [place for part in parts for place in range(part.start, part.stop)] == list(range(size))
    lengths = [part.stop - part.start for part in parts]
    assert max(lengths) - min(lengths) <= 1


@given(sections=lists(integers(1, 6), min_size=1, max_size=3), ranks=integers(1, 4), dim=integers(0, 1))
def test_pieces_make_the_whole_again(sections, ranks, dim):
    piece, width = Piece(dim, tuple(sections)), sum(sections)
    whole = torch.arange(width * 3.0).view((width, 3) if dim == 0 else (3, width))
    pieces = [piece.of(whole, rank, ranks) for rank in range(ranks)]
    assert torch.equal(piece.whole(pieces), whole)


def test_a_rank_has_some_of_the_queries_and_of_their_keys_and_values():
    """Two heads of two, [q | k | v]: the first half of the rows would be all queries and half of the keys."""
    rows = Piece(0, (4, 4, 4)).of(torch.arange(12), 1, 2)
    assert rows.tolist() == [2, 3, 6, 7, 10, 11]


def test_a_cut_inside_another_module_goes_by_longer_names():
    cut = Cut({"weight": Piece(0, (4,))}, {"weight": (0, 1)}).under("body")
    assert (list(cut.pieces), cut.shared) == (["body.weight"], {"body.weight": (0, 1)})
    assert Place(stage=1, stages=3).first is Place(stage=1, stages=3).last is False
