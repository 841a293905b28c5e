"""Block-sparse attention as three Triton kernels that walk the index table of `table`: forward, gradients of queries, of keys.

A program of the first two owns a tile of queries of one head and walks the blocks of keys it is listed; one of the third owns a
block of keys and walks the tiles that see it, of all query heads that share it, so that nothing is added atomically and gradients
are the same bits each time. Weights are recomputed from lse. Products are exact for float32, sums are float32 always.
Tensors are contiguous, q [B, H, T, width], k and v [B, G, T, width]; row = b·H + h. BLOCK and QUERIES = BLOCK·MERGED are tokens,
WIDTH is `width` rounded up to a power of two. Imported by `on_gpu` alone, since Triton is an extra.
Paper: S2-Attention (arXiv 2407.17678), whose kernel likewise reads a table a head and gives lse.
"""

# mypy: disable-error-code="untyped-decorator, no-untyped-def, no-untyped-call"
# Triton reads these functions as its own language, whose values have no Python types.

import triton
import triton.language as tl


@triton.jit
def seen(at, there, bits, BLOCK: tl.constexpr, MERGED: tl.constexpr):
    """Tokens at [QUERIES, 1], there [1, BLOCK] -> bool [QUERIES, BLOCK]."""
    return (there <= at) & (((bits >> ((at // BLOCK) % MERGED)) & 1) == 1)


@triton.jit
def read(of, row, at, length, width, WIDTH: tl.constexpr):
    """-> [len(at), WIDTH], zeros behind the row's end."""
    wide = tl.arange(0, WIDTH)
    inside = (at < length)[:, None] & (wide < width)[None, :]
    return tl.load(of + row.to(tl.int64) * length * width + at[:, None] * width + wide[None, :], mask=inside, other=0.0)


@triton.jit
def write(to, row, at, length, width, values, WIDTH: tl.constexpr):
    wide = tl.arange(0, WIDTH)
    inside = (at < length)[:, None] & (wide < width)[None, :]
    place = to + row.to(tl.int64) * length * width + at[:, None] * width + wide[None, :]
    tl.store(place, values.to(to.dtype.element_ty), mask=inside)


@triton.jit
def forward(
    q, k, v, out, lse, starts, others, bits, scale, length, width, heads, group,
    BLOCK: tl.constexpr, MERGED: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    QUERIES: tl.constexpr = BLOCK * MERGED
    tile, row = tl.program_id(0), tl.program_id(1)
    shared = row // group
    listed = starts + shared % (heads // group) * (tl.num_programs(0) + 1) + tile
    at = tile * QUERIES + tl.arange(0, QUERIES)
    asked = read(q, row, at, length, width, WIDTH)
    top = tl.full([QUERIES], float("-inf"), tl.float32)
    total = tl.zeros([QUERIES], tl.float32)
    mixed = tl.zeros([QUERIES, WIDTH], tl.float32)
    for entry in range(tl.load(listed), tl.load(listed + 1)):
        there = tl.load(others + entry) * BLOCK + tl.arange(0, BLOCK)
        keys = read(k, shared, there, length, width, WIDTH)
        scores = tl.dot(asked, tl.trans(keys), input_precision="ieee") * scale
        scores = tl.where(seen(at[:, None], there[None, :], tl.load(bits + entry), BLOCK, MERGED), scores, float("-inf"))
        newer = tl.maximum(top, tl.max(scores, 1))
        shift = tl.where(newer == float("-inf"), 0.0, newer)  # a query that has seen nothing yet
        weights = tl.exp(scores - shift[:, None])
        kept = tl.exp(top - shift)
        values = read(v, shared, there, length, width, WIDTH)
        mixed = mixed * kept[:, None] + tl.dot(weights.to(values.dtype), values, input_precision="ieee")
        total = total * kept + tl.sum(weights, 1)
        top = newer
    total = tl.where(at < length, total, 1.0)
    write(out, row, at, length, width, mixed / total[:, None], WIDTH)
    tl.store(lse + row.to(tl.int64) * length + at, top + tl.log(total), mask=at < length)


@triton.jit
def of_queries(
    q, k, v, out_grad, lse, delta, q_grad, starts, others, bits, scale, length, width, heads, group,
    BLOCK: tl.constexpr, MERGED: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """delta [B, H, T]: Σ out·out_grad - lse_grad, which each weight's gradient is taken from."""
    QUERIES: tl.constexpr = BLOCK * MERGED
    tile, row = tl.program_id(0), tl.program_id(1)
    shared = row // group
    listed = starts + shared % (heads // group) * (tl.num_programs(0) + 1) + tile
    at = tile * QUERIES + tl.arange(0, QUERIES)
    asked, of_out = read(q, row, at, length, width, WIDTH), read(out_grad, row, at, length, width, WIDTH)
    first = row.to(tl.int64) * length
    whole = tl.load(lse + first + at, mask=at < length, other=float("inf"))
    less = tl.load(delta + first + at, mask=at < length, other=0.0)
    found = tl.zeros([QUERIES, WIDTH], tl.float32)
    for entry in range(tl.load(listed), tl.load(listed + 1)):
        there = tl.load(others + entry) * BLOCK + tl.arange(0, BLOCK)
        keys, values = read(k, shared, there, length, width, WIDTH), read(v, shared, there, length, width, WIDTH)
        scores = tl.dot(asked, tl.trans(keys), input_precision="ieee") * scale
        scores = tl.where(seen(at[:, None], there[None, :], tl.load(bits + entry), BLOCK, MERGED), scores, float("-inf"))
        weights = tl.exp(scores - whole[:, None])
        of_weights = tl.dot(of_out, tl.trans(values), input_precision="ieee")
        of_scores = weights * (of_weights - less[:, None])
        found += tl.dot(of_scores.to(keys.dtype), keys, input_precision="ieee")
    write(q_grad, row, at, length, width, found * scale, WIDTH)


@triton.jit
def of_keys(
    q, k, v, out_grad, lse, delta, k_grad, v_grad, starts, others, bits, scale, length, width, heads, group,
    BLOCK: tl.constexpr, MERGED: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """starts, others, bits: the transposed table."""
    QUERIES: tl.constexpr = BLOCK * MERGED
    block, shared = tl.program_id(0), tl.program_id(1)
    listed = starts + shared % (heads // group) * (tl.num_programs(0) + 1) + block
    there = block * BLOCK + tl.arange(0, BLOCK)
    keys, values = read(k, shared, there, length, width, WIDTH), read(v, shared, there, length, width, WIDTH)
    of_k, of_v = tl.zeros([BLOCK, WIDTH], tl.float32), tl.zeros([BLOCK, WIDTH], tl.float32)
    for member in range(group):
        row = shared * group + member
        first = row.to(tl.int64) * length
        for entry in range(tl.load(listed), tl.load(listed + 1)):
            at = tl.load(others + entry) * QUERIES + tl.arange(0, QUERIES)
            asked, of_out = read(q, row, at, length, width, WIDTH), read(out_grad, row, at, length, width, WIDTH)
            whole = tl.load(lse + first + at, mask=at < length, other=float("inf"))
            less = tl.load(delta + first + at, mask=at < length, other=0.0)
            scores = tl.dot(asked, tl.trans(keys), input_precision="ieee") * scale
            scores = tl.where(seen(at[:, None], there[None, :], tl.load(bits + entry), BLOCK, MERGED), scores, float("-inf"))
            weights = tl.exp(scores - whole[:, None])
            of_v += tl.dot(tl.trans(weights.to(of_out.dtype)), of_out, input_precision="ieee")
            of_weights = tl.dot(of_out, tl.trans(values), input_precision="ieee")
            of_scores = weights * (of_weights - less[:, None])
            of_k += tl.dot(tl.trans(of_scores.to(asked.dtype)), asked, input_precision="ieee")
    write(k_grad, shared, there, length, width, of_k * scale, WIDTH)
    write(v_grad, shared, there, length, width, of_v, WIDTH)
