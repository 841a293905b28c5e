"""What goes in and out of items, likeness and search."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from headrace.serve.messages import BY_COLUMN, Filters, Id

_LONG = 200_000
Word = Annotated[str, Field(max_length=1000)]


class Item(BaseModel):
    """A row of the items table, by its columns, also the further ones that the generation's has. What is not sent stays as it
    was; null empties it. Since when it holds (`valid_from`) is the server's to say."""

    model_config = ConfigDict(extra="allow")
    item_id: Id = Field(examples=["mug"])
    title: str | None = Field(default=None, max_length=10_000)
    text: str | None = Field(default=None, max_length=_LONG)
    categories: list[Word] | None = Field(default=None, max_length=1000)
    locale: str | None = Field(default=None, max_length=100)
    available: bool = Field(
        default=True, description="false: it is not recommended, found or like anything until it is true again."
    )
    image: str | None = Field(default=None, max_length=10_000, description="Where it is: a path or an address.")
    price: float | None = Field(default=None, allow_inf_nan=False)


_ONE, _SEVERAL = "one item", "several items"
Items = Annotated[
    Annotated[Item, Tag(_ONE)] | Annotated[list[Item], Tag(_SEVERAL), Field(min_length=1, max_length=10_000)],
    Discriminator(lambda sent: _SEVERAL if isinstance(sent, list) else _ONE),
]


class Placed(BaseModel):
    """known: the generation was built with it. recommendable: now; an item that is not known is where its text is like a known
    one's, else from the next build on. searchable: by what a search finds it."""

    item_id: str
    changed: bool
    known: bool
    recommendable: bool
    searchable: list[Literal["lexical", "vector"]]


class Stored(BaseModel):
    """stored: items that changed. unchanged: they stood like that already."""

    stored: int
    unchanged: int
    items: list[Placed]


class Deleted(BaseModel):
    """deleted: False where it had been before."""

    item_id: str
    deleted: bool
    known: bool


class Described(BaseModel):
    """source: "put" since the build, or "build". since: when what was put came. item: its row, times in µs since 1970."""

    item_id: str
    known: bool
    recommendable: bool
    searchable: list[Literal["lexical", "vector"]]
    source: Literal["put", "build"]
    since: str | None
    item: dict[str, Any]


class Alike(BaseModel):
    position: int
    item_id: str
    title: str
    score: float


class Similar(BaseModel):
    """by: "item_vectors", the retriever whose model says so, "co-occurrence", or "nothing"."""

    item_id: str
    by: str
    generation: str
    items: list[Alike]


Mode = Literal["lexical", "vector", "hybrid"]


class Search(BaseModel):
    """What is looked for."""

    model_config = ConfigDict(extra="forbid")
    query: str = Field(max_length=10_000, examples=["warm wool socks"])
    user_id: Id | None = Field(default=None, description="Who asks; needed for `personal` alone.")
    n: int = Field(default=10, ge=1, le=100)
    filters: Filters | None = Field(default=None, description=BY_COLUMN, examples=[{"categories": {"any": ["socks"]}}])
    mode: Mode | None = Field(
        default=None, description="Where it is not said: hybrid if the generation has a text encoder, else lexical."
    )
    personal: bool = Field(default=False, description="The ranker orders the best 100 by what is known of the user.")
    explain: bool = Field(default=False, description="Say of each item which words it has and where each way of finding put it.")


class Place(BaseModel):
    """rank from 1."""

    by: str
    rank: int
    score: float


class Hit(BaseModel):
    """score: of the way that ordered the list last. known: the generation was built with it."""

    position: int
    item_id: str
    title: str
    score: float
    known: bool
    matched: list[str] | None = None
    places: list[Place] | None = None


class Hits(BaseModel):
    """personal: whether the ranker had its say. said: what there is to say of the answer."""

    query: str
    mode: Mode
    personal: bool
    generation: str
    items: list[Hit]
    said: list[str]
    latency_ms: float
