"""What goes in and out of items, likeness and search."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from headrace.serve.messages import BY_COLUMN, Filters, Id, ItemId, Key, Position, Title, TookMs

_LONG = 200_000
Word = Annotated[str, Field(max_length=1000)]
Known = Annotated[bool, Field(description="Whether the generation was built with it.")]
Recommendable = Annotated[
    bool,
    Field(
        description="Now. An item that is not known is where its text is like a known one's, else from the next build on.",
    ),
]
Searchable = Annotated[list[Literal["lexical", "vector"]], Field(description="By what a search finds it.")]


class Item(BaseModel):
    """A row of the items table, by its columns, also the further ones that the generation's has. What is not sent stays as it
    was; null empties it. Since when it holds (`valid_from`) is the server's to say."""

    model_config = ConfigDict(extra="allow")
    item_id: Id = Field(description="Whose row it is.", examples=["mug"])
    title: str | None = Field(default=None, max_length=10_000, description="What it is called.", examples=["Blue mug"])
    text: str | None = Field(default=None, max_length=_LONG, description="What is said of it; search and models read it.")
    categories: list[Word] | None = Field(
        default=None, max_length=1000, description="What it belongs to; filters and rules go by them.", examples=[["kitchen"]]
    )
    locale: str | None = Field(default=None, max_length=100, description="Its language, as the log writes languages.")
    available: bool = Field(
        default=True, description="false: it is not recommended, found or like anything until it is true again."
    )
    image: str | None = Field(default=None, max_length=10_000, description="Where it is: a path or an address.")
    price: float | None = Field(default=None, allow_inf_nan=False, description="In the shop's currency.")


_ONE, _SEVERAL = "one item", "several items"
Items = Annotated[
    Annotated[Item, Tag(_ONE)] | Annotated[list[Item], Tag(_SEVERAL), Field(min_length=1, max_length=10_000)],
    Discriminator(lambda sent: _SEVERAL if isinstance(sent, list) else _ONE),
]


class Placed(BaseModel):
    """What became of an item that was put."""

    item_id: ItemId
    changed: bool = Field(description="False where it stood like that already.")
    known: Known
    recommendable: Recommendable
    searchable: Searchable


class Stored(BaseModel):
    """All that were sent, in their order; in force when this is answered."""

    stored: int = Field(description="Items that changed.")
    unchanged: int = Field(description="Items that stood like that already.")
    items: list[Placed] = Field(description="One for each that was sent.")


class Deleted(BaseModel):
    """From now on nobody is shown it, until it is put again."""

    item_id: ItemId
    deleted: bool = Field(description="False where it had been deleted before.")
    known: Known


class Described(BaseModel):
    """An item as it stands."""

    item_id: ItemId
    known: Known
    recommendable: Recommendable
    searchable: Searchable
    source: Literal["put", "build"] = Field(description="Whose row it is: put since the build, or the build's.")
    since: str | None = Field(description="When what was put came, ISO 8601 in UTC.")
    item: dict[str, Any] = Field(description="Its row, by column; times in µs since 1970.")


class Alike(BaseModel):
    """An item that is like the one asked about."""

    position: Position
    item_id: ItemId
    title: Title
    score: float = Field(description="How like it is, by what `by` says.")


class Similar(BaseModel):
    """Items like an item, never itself."""

    item_id: ItemId
    by: str = Field(description='"item_vectors", the retriever whose model says so, "co-occurrence", or "nothing".')
    generation: Key
    items: list[Alike] = Field(description="The most alike first.")


Mode = Literal["lexical", "vector", "hybrid"]


class Search(BaseModel):
    """What is looked for."""

    model_config = ConfigDict(extra="forbid")
    query: str = Field(max_length=10_000, description="In words.", examples=["warm wool socks"])
    user_id: Id | None = Field(default=None, description="Who asks; needed for `personal` alone.")
    n: int = Field(default=10, ge=1, le=100, description="Items wanted.")
    filters: Filters | None = Field(default=None, description=BY_COLUMN, examples=[{"categories": {"any": ["socks"]}}])
    mode: Mode | None = Field(
        default=None, description="Where it is not said: hybrid if the generation has a text encoder, else lexical."
    )
    personal: bool = Field(default=False, description="The ranker orders the best 100 by what is known of the user.")
    explain: bool = Field(default=False, description="Say of each item which words it has and where each way of finding put it.")


class Place(BaseModel):
    """Where one way of finding put an item."""

    by: str = Field(description="lexical or vector.")
    rank: int = Field(description="From 1.")
    score: float = Field(description="BM25 of words, the cosine of vectors.")


class Hit(BaseModel):
    """An item that was found."""

    position: Position
    item_id: ItemId
    title: Title
    score: float = Field(description="Of the way that ordered the list last.")
    known: Known
    matched: list[str] | None = Field(default=None, description="Words of the query that it has, where explain was asked for.")
    places: list[Place] | None = Field(default=None, description="By each way that found it, where explain was asked for.")


class Hits(BaseModel):
    """What fits a query."""

    query: str = Field(description="As it was sent.")
    mode: Mode = Field(description="How it was looked for.")
    personal: bool = Field(description="Whether the ranker had its say.")
    generation: Key
    items: list[Hit] = Field(description="The best first.")
    said: list[str] = Field(description="What there is to say of the answer, in words.")
    latency_ms: TookMs
