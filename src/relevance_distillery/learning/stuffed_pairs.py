"""Copies of pairs with the query's words written into the passage, for training.

Nobody stuffs the documents that teach: there a passage with every word of the query is relevant. So
a labeler takes the words for relevance, and is fooled by whoever writes them into a passage. Copies
that keep the grade of their original teach that such words alone change nothing.
"""

import numpy as np

from relevance_distillery.learning.labelled_pairs import LabelledPairs

_REPEATS = (1, 1, 3)
"""One of these, drawn alike."""
_SHUFFLED = 0.25


def sample_with_stuffed(pairs: LabelledPairs, size: int, share: float, seed: int) -> LabelledPairs:
    """A sample of at most `size` pairs, a share of which are stuffed copies of others.

    The copies follow the others, on top of all pairs where these are fewer than `size`. Relevant
    ones are copied too, since a page whose title is the question may well answer it.
    """
    copies = round(share * min(size, len(pairs)))
    learn = pairs.sample(size - copies, seed)
    if not copies:
        return learn
    rng = np.random.default_rng(seed)
    chosen = learn.sample(copies, seed)
    columns = (chosen.pairs["title"].fillna(""), chosen.pairs["text"], chosen.pairs["query"])
    stuffed = [_stuffed(*texts, rng) for texts in zip(*columns, strict=True)]
    titles, texts = zip(*stuffed, strict=True)
    copied = chosen.pairs.assign(title=titles, text=texts)
    return learn.followed_by(LabelledPairs(copied, chosen.targets, chosen.positions))


def _stuffed(title: str, text: str, query: str, rng: np.random.Generator) -> tuple[str, str]:
    """Title and text, with the query's words behind the one or anywhere in the other."""
    words = query.split()
    if rng.random() < _SHUFFLED:
        words = rng.permutation(words).tolist()
    planted = ". ".join([" ".join(words)] * int(rng.choice(_REPEATS)))
    place = rng.integers(4)
    if place == 0:
        return f"{title} {planted}".strip(), text
    if place == 1:
        return title, f"{planted}\n\n{text}"
    if place == 2:
        return title, f"{text}\n\n{planted}"
    parts = text.split(" ")
    middle = int(rng.integers(len(parts) + 1))
    return title, " ".join([*parts[:middle], planted, *parts[middle:]])
