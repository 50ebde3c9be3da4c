"""Strings of the words of `tiny_models`, to align tiny encoders on."""

from __future__ import annotations

import numpy as np

import tiny_models


def word_strings(count: int, seed: int = 0) -> list[str]:
    """Different strings of one to six words."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 7, size=3 * count)
    texts = (" ".join(rng.choice(tiny_models.WORDS, size=size)) for size in sizes)
    return list(dict.fromkeys(texts))[:count]
