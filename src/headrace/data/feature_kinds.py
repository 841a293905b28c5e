"""What a log's features are, by name, so that another log's of the same names can be told from them.

"category": one code; "bag": several. Numbers are bins, so categories here too.
"""

from headrace.data.features import Features


def kinds_of(features: Features) -> dict[str, tuple[str, int]]:
    """name -> (kind, number of codes), of users' and items' own columns."""
    codes = {**features.users.codes, **features.items.codes}
    return {name: ("bag" if codes[name].ndim > 1 else "category", features.sizes[name]) for name in sorted(codes)}
