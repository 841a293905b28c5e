"""What an artifact says about itself."""

from dataclasses import asdict, dataclass, field
from typing import Any

from headrace.contracts.errors import ArtifactError

FORMAT = 1


@dataclass(frozen=True)
class Manifest:
    """`manifest.json`. parents: input name -> key. window_us: the first and last event time read, or None. files: name -> sha256.

    personal: holds data about people, so an erasure finds it through lineage. seconds: what making it took.
    """

    kind: str
    key: str
    revision: int
    config: Any
    parents: dict[str, str]
    files: dict[str, str] = field(default_factory=dict)
    schema: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    window_us: tuple[int, int] | None = None
    personal: bool = False
    seconds: float = 0.0
    format: int = FORMAT

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any], where: str) -> "Manifest":
        """Reads this format and the one before it."""
        version = values.get("format") if isinstance(values, dict) else None
        if not isinstance(version, int) or not FORMAT - 1 <= version <= FORMAT:
            raise ArtifactError(
                f"{where}: format {version!r}, this Headrace reads {FORMAT - 1} and {FORMAT}. Rebuild it, or upgrade Headrace."
            )
        try:
            window = values.get("window_us")
            return cls(**{**values, "window_us": tuple(window) if window else None})
        except TypeError as error:
            raise ArtifactError(f"{where}: not a manifest ({error}). Delete the folder and build again.") from None
