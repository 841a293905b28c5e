"""What language models answered for this run, and what they were asked: words, whether they could be used, tokens, cost.

Below stand the tables that `headrace annotate` wrote into the run's folder, their labels, and how far two of them agree. A
question's words are kept beside its answer (`llm/questions.py`), the newest 10,000 of a file; an erasure takes all of them. Cost:
each look passes over all answers of the run once for what they took, and over those of one file for the words.
"""

from dataclasses import dataclass
from urllib.parse import urlencode

from fastapi import APIRouter, Response

from headrace.contracts.chat import Usage
from headrace.contracts.errors import ArtifactError
from headrace.llm.kept import Kept, KeptFile, kept
from headrace.serve.console import labels
from headrace.serve.console.paging import Part, part
from headrace.serve.console.view import Link, View

LINK = Link("/annotations", "Annotations")
_AT_ONCE, _LONGEST = 25, 4000
_TAGS = {"parsed": "passed", "text": "passed", "unparsed": "blocked", "failed": "blocked"}


@dataclass(frozen=True)
class Summed:
    """One file. statuses: how many answers of each. words: questions whose words are there. trouble: why it can't be read, ""
    where it can."""

    name: str
    answers: int
    statuses: dict[str, int]
    words: int
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
    def annotations(file: str = "", words: str = "", status: str = "", page: str = "1") -> Response:
        run = view.serving.folder
        there = {one.path.relative_to(run).as_posix(): one for one in kept(run)}
        files = [summed(name, one) for name, one in there.items()]
        readable = {one.name: one for one in files if not one.trouble}
        asked = file if file in readable else next(iter(readable), "")
        statuses = readable[asked].statuses if asked else {}
        wanted = status if status in statuses else ""
        tables = labels.tables(run)
        before = urlencode({"file": asked, "words": words, "status": wanted}, errors="replace")
        return view.page(
            "annotations.html.jinja", here=LINK, files=files, asked=asked, unknown=file if file != asked else "", words=words,
            statuses=statuses, wanted=wanted, answers=found(there[asked], words, wanted, page) if asked else None, tags=_TAGS,
            before=f"{LINK.url}?{before}&", longest=_LONGEST, tables=tables, agreed=labels.agreements(tables),
            drawn={one.name: labels.drawn(one) for one in tables},
        )  # fmt: skip

    return router


def summed(name: str, file: KeptFile) -> Summed:
    try:
        statuses = file.statuses()
        return Summed(name, sum(statuses.values()), statuses, file.words_kept(), file.spent(), "")
    except ArtifactError as error:
        return Summed(name, 0, {}, 0, Usage(), str(error))


def found(file: KeptFile, words: str, status: str, page: str) -> Page:
    count = file.count(words, status)
    of_all = part(page, count, _AT_ONCE)
    return Page(file.rows(words, status, of_all.start, of_all.stop), count, of_all)
