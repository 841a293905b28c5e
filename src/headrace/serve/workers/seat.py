"""Which of a server's processes this one is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Seat:
    """number: from 0. of: how many serve the run; the supervisor holds the run for them."""

    number: int
    of: int

    @property
    def alone(self) -> bool:
        """It holds the run itself."""
        return self.of == 1


ALONE = Seat(0, 1)
