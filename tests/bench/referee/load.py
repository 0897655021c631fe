"""What is sent, and over how much loss."""
import dataclasses

BODY_OCTETS = 1024

# Per cent lost in each direction, and messages: so many that each run loses some, so few that the worst ends in seconds.
BULK = {0: 8000, 0.1: 8000, 1: 4000, 5: 1000, 20: 60}
STEADY = (0, 1)
STEADY_RATE, STEADY_COUNT = 2000, 5000


@dataclasses.dataclass(frozen=True)
class Load:
    per_cent: float
    count: int
    rate: int = 0  # messages a second, each confirmed as it comes; 0: as fast as TCP takes them, confirmed at the end
    size: int = BODY_OCTETS

    @property
    def per_million(self):
        return round(self.per_cent * 10000)

    def described(self):
        return dataclasses.asdict(self)


def bulk(levels):
    return [Load(level, BULK.get(level) or max(125, round(4000 / max(level, 1)))) for level in levels]


def steady(levels, rate=STEADY_RATE):
    return [Load(level, STEADY_COUNT, rate) for level in levels]
