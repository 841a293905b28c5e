"""Run by itself: the kernels compiled for a GPU that need not be there, printed as the bytes of its memory that each needs."""

import json
import sys

from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from headrace.nn.attention import kernel

KNOWN = {
    "lse": "*fp32", "delta": "*fp32", "starts": "*i32", "others": "*i32", "bits": "*i32", "scale": "fp32", "length": "i32",
    "width": "i32", "heads": "i32", "group": "i32", "BLOCK": "constexpr", "MERGED": "constexpr", "WIDTH": "constexpr",
}  # fmt: skip

if __name__ == "__main__":
    needed = {}
    for run in (kernel.forward, kernel.of_queries, kernel.of_keys):
        source = ASTSource(
            run, {name: KNOWN.get(name, "*bf16") for name in run.arg_names}, constexprs={"BLOCK": 64, "MERGED": 1, "WIDTH": 128}
        )
        done = compile(source, target=GPUTarget("cuda", 80, 32), options={"num_stages": 2})
        needed[run.__name__] = done.metadata.shared
    sys.stdout.write(json.dumps(needed))
