"""What the MovieLens sets share: their terms, and the year at the end of a title."""

import polars as pl

_TERMS = """{name}, GroupLens Research, University of Minnesota. {address}

The data set may be used for any research purpose under these conditions:
- You may not state or imply any endorsement from the University of Minnesota or the GroupLens Research Group.
- You must acknowledge the use of the data set in publications that result from it (citation below).
- {redistribution}
- You may not use it for any commercial or revenue-bearing purpose without first obtaining permission from a faculty member of
  the GroupLens Research Project.
The data come without warranty of correctness or fitness.

F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: History and Context.
ACM Transactions on Interactive Intelligent Systems 5, 4, Article 19. https://doi.org/10.1145/2827872
"""


def terms(name: str, address: str, redistribution: str) -> str:
    return _TERMS.format(name=name, address=address, redistribution=redistribution)


def without_year(title: pl.Expr) -> pl.Expr:
    """ "Heat (1995)" -> "Heat"; also behind it the marks (V) and (TV)."""
    return title.str.strip_chars().str.replace(_YEAR, "").str.strip_chars()


def year(title: pl.Expr) -> pl.Expr:
    return title.str.strip_chars().str.extract(_YEAR).cast(pl.Int32)


_YEAR = r"\((\d{4})(?:[-\u2013]\d{0,4})?\)(?:\s*\((?:V|TV)\))?$"
