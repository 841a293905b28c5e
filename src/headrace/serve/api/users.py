"""A user who leaves."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from headrace.llm.questions import forget_words
from headrace.serve.api.failures import PROBLEMS
from headrace.serve.scorers.kept_states import number_of
from headrace.serve.serving import Serving

UserId = Annotated[str, Path(max_length=10_000, description="As events name them.")]


class Forgotten(BaseModel):
    """What is left of them is a digest that says that they were erased."""

    removed: dict[str, int] = Field(description="Rows of what was served, by table; none of a user who was forgotten before.")
    in_build: bool = Field(
        description="Whether the log that the generation was built from names them. It answers as if it did not; "
        "headrace forget takes them out of it, and the run is then built again."
    )
    elsewhere: int = Field(
        default=0,
        description="Other servers on the same Redis whose files may still name them. Each takes them out within rotate_s, or "
        "when it is started again: ask again to see it become 0. They are shown and taken in nowhere from now on.",
    )


def routes(serving: Serving) -> APIRouter:
    router = APIRouter()

    @router.delete(
        "/v1/users/{user_id:any_id}", response_model=Forgotten, responses=PROBLEMS,
        summary="Nothing of a user is kept, shown or taken in any more",
    )  # fmt: skip
    def forget(user_id: UserId) -> Any:
        service = serving.service
        removed = service.forget(user_id)
        forget_words(serving.folder)  # a question does not say whom it is about
        for one in serving.live.open.by_key.values():
            one.kept.drop(number_of(user_id))
        return Forgotten(removed=removed, in_build=user_id in service.state.users, elsewhere=service.state.elsewhere())

    return router
