"""Which packets the referee loses: what drop.bpf.c does, written down a second time and independently of it."""

MASK = (1 << 64) - 1
DATA, ACKS = 0, 1


def is_lost(seed, direction, n, per_million):
    x = ((2 * seed + direction) * 0xD1B54A32D192ED03 + (n + 1) * 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    x ^= x >> 31
    return (x >> 32) % 1000000 < per_million


def lost_of(seed, direction, seen, per_million):
    """Of the first `seen` packets: how many are lost, and the sum of their numbers."""
    lost = [n for n in range(seen) if is_lost(seed, direction, n, per_million)] if per_million else []
    return len(lost), sum(lost)
