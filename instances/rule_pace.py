"""How much rules may do at once: a pace, and no veto. What is left over waits for the next pass and says so."""

from math import ceil

FEWEST_ACTS = 5
SHARE_OF_RUNNING = 0.2


def act_limit(running: int) -> int:
    """The most acts of one pass: 5, or a fifth of what runs where that is more."""
    return max(FEWEST_ACTS, ceil(SHARE_OF_RUNNING * running))
