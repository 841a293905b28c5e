"""What a page is made of, and what it must not hold whatever it was given."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

_LOADS = {"src", "href", "action", "data", "poster", "srcset", "formaction", "xlink:href"}
_OWN = ("/console", "/docs", "/openapi.json", "/metrics", "#")


@dataclass
class Found:
    """tags: (name, attributes) in order. text: what a reader sees, and JSON."""

    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    text: str = ""

    def all(self, name: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.tags if tag == name]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found = Found()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.found.text += data


def read(html: str) -> Found:
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.found


def check_harmless(html: str) -> Found:
    """No script and no style but the page's own files, no handler, nothing loaded from elsewhere; pictures of items apart."""
    found = read(html)
    for tag, attributes in found.tags:
        assert tag not in {"style", "svg", "iframe", "object", "embed", "base"}, tag
        assert not [name for name in attributes if name.startswith("on") or name == "style"], (tag, attributes)
        for name in _LOADS & attributes.keys():
            address = attributes[name]
            own = address.startswith(_OWN) and not address.startswith("//")
            assert own or (tag == "img" and address.startswith("https://")), (tag, name, address)
        if tag == "script":
            assert attributes.get("type") == "application/json" or attributes["src"].startswith("/console/static/")
    return found
