"""What language models answered for this run, as its caches keep it: text, whether it could be used, tokens, cost.

A cache has a question by its fingerprint alone, so a page can show no prompt, and not whom an answer is about. Cost: each look
passes over all answers of the run once for what they took, and over those of one file for the words.
"""

from dataclasses import dataclass
from urllib.parse import urlencode

from fastapi import APIRouter, Response

from headrace.contracts.chat import Usage
from headrace.contracts.errors import ArtifactError
from headrace.llm.kept import Kept, KeptFile, kept
from headrace.serve.console.paging import Part, part
from headrace.serve.console.view import Link, View

LINK = Link("/annotations", "Annotations")
_AT_ONCE, _LONGEST = 25, 4000


@dataclass(frozen=True)
class Summed:
    """One file. trouble: why it can't be read, "" where it can."""

    name: str
    answers: int
    spent: Usage
    trouble: str

    @property
    def url(self) -> str:
        return f"{LINK.url}?{urlencode({'file': self.name})}#answers"


@dataclass(frozen=True)
class Page:
    rows: list[Kept]
    found: int
    part: Part


def routes(view: View) -> APIRouter:
    router = APIRouter()

    @router.get(LINK.url)
    def annotations(file: str = "", words: str = "", page: str = "1") -> Response:
        run = view.serving.folder
        there = {one.path.relative_to(run).as_posix(): one for one in kept(run)}
        files = [summed(name, one) for name, one in there.items()]
        readable = [one.name for one in files if not one.trouble]
        asked = file if file in readable else next(iter(readable), "")
        unknown = file if file != asked else ""
        answers = found(there[asked], words, page) if asked else None
        before = f"{LINK.url}?{urlencode({'file': asked, 'words': words}, errors='replace')}&"
        return view.page(
            "annotations.html.jinja", here=LINK, files=files, asked=asked, unknown=unknown, words=words, answers=answers,
            before=before, longest=_LONGEST,
        )  # fmt: skip

    return router


def summed(name: str, file: KeptFile) -> Summed:
    try:
        return Summed(name, file.count(), file.spent(), "")
    except ArtifactError as error:
        return Summed(name, 0, Usage(), str(error))


def found(file: KeptFile, words: str, page: str) -> Page:
    count = file.count(words)
    of_all = part(page, count, _AT_ONCE)
    return Page(file.rows(words, of_all.start, of_all.stop), count, of_all)
