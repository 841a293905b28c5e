"""Why a page was as it was: the request worked out again from what was asked, stage by stage."""

from datetime import UTC, datetime, timedelta

import numpy as np

from headrace.cascade.answers import Walk, steps
from headrace.cascade.reads_as import said_of
from headrace.encode.preferences import read
from headrace.serve.asked import Asked
from headrace.serve.logs.impressions import logged_candidates, logged_request
from headrace.serve.messages import ExplainedItem, Explanation, StageScore
from headrace.serve.service import Service
from headrace.serve.state.recent import Remembered

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def explain(service: Service, request_id: str) -> Explanation | None:
    """None for a request that is neither recent nor in the log.

    A logged request of another generation, of a user whose history has changed since (an erasure), or with a newcomer whose words
    of then are not kept any more, is told from its logged rows: scores and propensities, no ranks.
    """
    recent = service.remembered(request_id)
    if recent is not None and recent.generation == service.generation:
        walked = service.walk(recent.asked)
        if _shown(service, recent.asked, walked) == [one.item_id for one in recent.page]:
            return worked_out(service, recent.asked, walked)
        return _as_given(recent)
    found = logged_request(service.root, request_id)
    if found is None:
        return _as_given(recent)
    asked, generation = found
    logged = logged_candidates(service.root, request_id)
    shown = logged.filter(logged["stage"] == "shown")["item_id"].to_list()
    if generation == service.generation:
        walked = service.walk(asked)
        if _shown(service, asked, walked) == shown:
            return worked_out(service, asked, walked)
    items = [
        ExplainedItem(
            position=row["position"], item_id=row["item_id"], title=_title(service, row["item_id"]),
            propensity=row["propensity"], proposed_by=[], acted=[],
            stages=[StageScore(**score, rank=None, of=None) for score in row["scores"]],
        )
        for row in logged.head(len(shown)).to_dicts()
    ]  # fmt: skip
    return _explanation(asked, generation, worked_out_again=False, rules=[], items=items)


def _shown(service: Service, asked: Asked, walked: Walk) -> list[str]:
    given = walked.slates.items[0, : asked.slots]
    return [service.names.ids[item] for item in given[given > 0].tolist()]


def _title(service: Service, item_id: str) -> str:
    number = service.shelf.numbers.get(item_id)
    return item_id if number is None else service.names.titles[number]


def _as_given(kept: Remembered | None) -> Explanation | None:
    """Of a generation that is closed by now, before its log's file is written."""
    if kept is None:
        return None
    items = [
        ExplainedItem(
            position=one.position, item_id=one.item_id, title=one.title, propensity=one.propensity, proposed_by=[], stages=[],
            acted=list(one.reasons),
        )
        for one in kept.page
    ]  # fmt: skip
    return _explanation(kept.asked, kept.generation, worked_out_again=False, rules=[], items=items)


def worked_out(service: Service, asked: Asked, walked: Walk) -> Explanation:
    """walked: the request's, of this generation."""
    cascade, names, new = service.cascade, service.names, walked.cascade.newcomers
    items = []
    shown = walked.slates.items[0, : asked.slots]
    slots = np.flatnonzero(shown).tolist()
    for slot, found in zip(slots, steps(walked, 0, shown[slots].tolist()), strict=True):
        item = int(shown[slot])
        proposed = [one.stage for one in found if one.stage in walked.recalled.scores]
        acted = (
            [f"fallback: the retrievers left the page short, {cascade.fallback[0]} filled it"] if proposed == ["fallback"] else []
        )
        if new is not None and item >= new.n_items:
            like = names.titles[int(new.twin(shown)[slot])]
            acted.append(f"newcomer: no model knows it yet, so it has the scores of what is most like it, {like}")
        if found[-1].rank > slot + 1:
            acted.append(f"exploration: ranked {found[-1].rank}, shown in slot {slot + 1}")
        items.append(
            ExplainedItem(
                position=slot + 1, item_id=names.ids[item], title=names.titles[item],
                propensity=float(walked.slates.propensity[0, slot]), proposed_by=proposed, acted=acted,
                stages=[StageScore(**one._asdict()) for one in found],
                codes="" if service.codes is None else service.codes.said(item),
            )
        )  # fmt: skip
    return _explanation(
        asked, service.generation, worked_out_again=True, rules=_rules(service, asked, walked), items=items,
        reads_as=_reads_as(service, asked, walked),
    )  # fmt: skip


def _reads_as(service: Service, asked: Asked, walked: Walk) -> str:
    """Nothing of who does not consent: a scorer may have words for nobody too, and these would be no one's."""
    if service.impersonal.holds(asked.user_id, asked.at_us):
        return ""
    return said_of(service.cascade.scorings, walked.requests)[0]


def _rules(service: Service, asked: Asked, walked: Walk) -> list[str]:
    """What kept items from being proposed at all."""
    rules, history = [], walked.requests.history
    if not service.cascade.seen_items and len(history.items):
        rules.append(f"seen_items = false: {len(np.unique(history.items))} items the user had before are left out")
    if walked.skipped:
        rules.append(f"deadline: there was no time for {', '.join(walked.skipped)}; what stood before them decided")
    if asked.preference:
        rules += _said(asked.preference)
    if asked.filters:
        rules.append(f"filters: items that {asked.filters} does not fit are left out for this request")
    if asked.excluded:
        rules.append(f"exclude: {len(asked.excluded)} items are left out for this request")
    withdrawn = int((~service.cascade.available[1:]).sum())
    if withdrawn:
        rules.append(f"available: {withdrawn} items of the catalogue are withdrawn or not known yet")
    new = walked.cascade.newcomers
    if new is not None:
        rules.append(f"newcomers: of {len(new.numbers)} items that the generation does not know at most {new.most} may be shown")
    if service.impersonal.holds(asked.user_id, asked.at_us):
        rules.append("consent_personalise = false: neither history nor features of the user were looked at")
    elif not len(history.items):
        rules.append("no history: the user has no event of a known item before the request")
    return rules


def _said(preference: str) -> list[str]:
    """How a preference was read."""
    found = read(preference)
    wants = {1: "wanted", -1: "to be avoided"}
    parts = [f'"{one.about}" {wants[one.polarity]}' for one in found.instructions]
    return [f"preference: {'; '.join(parts) or 'no instruction was found in it'}", *([found.cut] if found.cut else [])]


def _explanation(
    asked: Asked, generation: str, *, worked_out_again: bool, rules: list[str], items: list[ExplainedItem], reads_as: str = ""
) -> Explanation:
    return Explanation(
        request_id=asked.request_id, user_id=asked.user_id, at=_EPOCH + timedelta(microseconds=asked.at_us),
        surface=asked.surface, seed=asked.seed, generation=generation, worked_out_again=worked_out_again,
        rules=rules, items=items, reads_as=reads_as,
    )  # fmt: skip
