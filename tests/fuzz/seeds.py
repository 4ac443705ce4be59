"""Which cases are run: the same ones always, unless the environment asks for others.

A failure names its seed and case: EMOTRACK_FUZZ_SEEDS=4711 EMOTRACK_FUZZ_CASE=17 repeats it alone.
"""

import os
from collections.abc import Sequence

SEEDS = [int(seed) for seed in os.environ.get("EMOTRACK_FUZZ_SEEDS", "4711").split(",")]
ONLY = os.environ.get("EMOTRACK_FUZZ_CASE", "")


def share(cases: int, among: int) -> list[Sequence[int]]:
    """The numbers of the cases, a run of them for each fuzzer; a single one is for all."""
    if ONLY:
        return [[int(ONLY)]] * among
    size = cases // among
    return [range(first * size, first * size + size) for first in range(among)]
