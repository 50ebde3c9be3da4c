"""Queries out of the documents' own words: no model, no key, no network.

The styles are the kinds of query that people type at work, after Broder (2002) and, for the
enterprise, Hawking (2004) and Freund & Toms (2006): known items and navigation dominate,
queries are short, and names of people, projects and files take the place of the web's topics.
"""

import logging
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from relevance_distillery.documents.acronyms import expansions
from relevance_distillery.synthesizers.base import digest, hashed, misspell, query_table
from relevance_distillery.synthesizers.phrases import Corpus, Phrase
from relevance_distillery.synthesizers.questions import questions
from relevance_distillery.synthesizers.seed_passage import DOCUMENT_KINDS, SeedPassage
from relevance_distillery.synthesizers.settings import DEFAULT_STYLES, style_weights
from relevance_distillery.text.language import Language
from relevance_distillery.text.words import is_unspaced

logger = logging.getLogger(__name__)

_VERSION = 1
_LOWER_SHARE = 0.8
_TRIES = 6
_MAX_LENGTH = 120


def _join(*parts: str) -> str:
    """Words of the parts in order, each once."""
    words: dict[str, str] = {}
    for word in " ".join(parts).split():
        words.setdefault(word.lower(), word)
    return " ".join(words.values())


def _unused_phrases(passage: SeedPassage, used: list[str], count: int = 12) -> list[Phrase]:
    """The best phrases that share no stem with the words already used."""
    taken = {passage.corpus.language.stem(word) for word in used}
    return [
        phrase
        for phrase in passage.phrases[: count * 4]
        if phrase.source != "title" and not taken & set(phrase.stems)
    ][:count]


def _draw_phrase(phrases: list[Phrase], rng: np.random.Generator) -> Phrase | None:
    if not phrases:
        return None
    weights = np.array([phrase.score for phrase in phrases]) ** 3
    return phrases[int(rng.choice(len(phrases), p=weights / weights.sum()))]


def known_item(passage: SeedPassage, rng: np.random.Generator) -> str:
    """The page is known and wanted again: its title's words, often with year or section."""
    words = list(dict.fromkeys(passage.title_words))
    if not words:
        return ""
    if len(words) > 4:
        corpus, language = passage.corpus, passage.corpus.language
        rarest = sorted(
            (word for word in words if word.lower() not in language.stop_words),
            key=lambda word: -corpus.idf(language.stem(word)),
        )
        best = {*rarest[: int(rng.integers(2, 4))], *passage.core}
        words = [word for word in words if word in best]
    text = " ".join(words)
    in_title = bool(passage.year) and passage.year in passage.title
    if in_title and rng.random() < 0.3:
        text = " ".join(word for word in words if word != passage.year) or text
    elif passage.year and (in_title or rng.random() < 0.12):
        text = _join(text, passage.year)
    if passage.heading_words and rng.random() < 0.35:
        text = _join(" ".join(passage.core), " ".join(passage.heading_words[:3]))
    elif passage.kind and passage.kind not in text.lower() and rng.random() < 0.35:
        text = _join(text, passage.kind)
    return text


def keyword(passage: SeedPassage, rng: np.random.Generator) -> str:
    """Two to five words of what the passage says, mostly with a word of its title."""
    core = passage.core
    draw = rng.random()
    if draw < 0.55 and core:
        anchor = core if rng.random() < 0.5 else [core[int(rng.integers(len(core)))]]
        phrase = _draw_phrase(_unused_phrases(passage, core), rng)
        if phrase is None:
            return ""
        parts = [" ".join(anchor), phrase.text]
        return _join(*(parts if rng.random() < 0.65 else parts[::-1]))
    first = _draw_phrase(_unused_phrases(passage, [], 10), rng)
    if first is None:
        return ""
    if draw > 0.8 and len(first.words) > 1:
        return first.text
    # Two phrases are searched for together when they are near each other in the text.
    near = [
        phrase
        for phrase in _unused_phrases(passage, list(first.words), 12)
        if abs(phrase.position - first.position) <= 1
    ]
    second = _draw_phrase(near, rng)
    if second is None:
        return first.text
    ordered = sorted((first, second), key=lambda phrase: phrase.position)
    return " ".join(_join(*(phrase.text for phrase in ordered)).split()[:5])


def question(passage: SeedPassage, rng: np.random.Generator) -> str:
    """A question that the passage answers."""
    asked = questions(passage, rng)
    if not asked:
        return ""
    place = min(int(rng.geometric(0.6)) - 1, len(asked) - 1)
    return asked[place] + ("?" if rng.random() < 0.4 else "")


def metadata(passage: SeedPassage, rng: np.random.Generator) -> str:
    """Who wrote it, what kind of document it is, its file name, folder or date."""
    core = " ".join(passage.core)
    options: list[str] = []
    if passage.author:
        names = passage.author.split()
        who = names[-1] if rng.random() < 0.6 else passage.author
        who = names[0] if rng.random() < 0.15 else who
        what = passage.kind or core
        about = passage.core[-1] if passage.core else ""
        options += [_join(who, about, what), _join(core, who), _join(about, what, who)]
    if passage.file_stem and "-" in passage.file_stem + passage.row["path"].rsplit("/", 1)[-1]:
        options += [passage.file_stem, passage.file_stem + passage.suffix]
        if rng.random() < 0.5:
            options.append(passage.file_stem.replace("-", " ").replace("_", " "))
    elif passage.file_stem and not passage.author:
        options.append(passage.file_stem + passage.suffix)
    if passage.folders and core:
        folder = passage.folders[0].replace("-", " ").replace("_", " ")
        options.append(_join(folder, core))
        if len(passage.folders) > 1 and rng.random() < 0.4:
            options.append(f"{passage.folders[1]}/{passage.folders[0]} {passage.kind}".strip())
    if passage.month and core:
        when = passage.month if rng.random() < 0.6 else passage.month.split()[0]
        options.append(_join(core, passage.kind, when))
    several = [option for option in options if len(option.replace("-", " ").split()) > 1]
    return several[int(rng.integers(len(several)))] if several else ""


def short(passage: SeedPassage, rng: np.random.Generator) -> str:
    """One word, seldom two, that several documents may answer."""
    corpus = passage.corpus
    common = [
        phrase
        for phrase in passage.phrases[:40]
        if len(phrase.words) == 1
        and corpus.frequency(phrase.stems[0]) >= 2
        and phrase.text.lower() not in DOCUMENT_KINDS
    ]
    singles = [
        phrase
        for phrase in common
        if phrase.source in ("title", "heading", "bold") and phrase.stems[0] in corpus.title_stems
    ] or [phrase for phrase in common if corpus.frequency(phrase.stems[0]) >= 3]
    if not singles:
        return ""
    doubles = [
        phrase
        for phrase in passage.phrases[:30]
        if len(phrase.words) == 2
        and phrase.source in ("title", "heading")
        and corpus.nounlike(phrase.words[-1]) >= 0.5
    ]
    chosen = _draw_phrase(doubles if doubles and rng.random() < 0.3 else singles, rng)
    return chosen.text if chosen else ""


def _expansion_in_text(longs: tuple[str, ...], text: str, passage: SeedPassage) -> str:
    """The expansion of an acronym in a text: the long form that shares most words with it.

    Empty where two fit equally well, or where none of several fits by half.
    """
    language = passage.corpus.language
    here = set(language.stems(text))
    stems = [language.stems(long, content_only=True) for long in longs]
    fits = [sum(stem in here for stem in found) / max(len(found), 1) for found in stems]
    best = max(fits)
    needed = 0.5 if len(longs) > 1 else 0.3
    return longs[fits.index(best)] if best >= needed and fits.count(best) == 1 else ""


def acronym(passage: SeedPassage, rng: np.random.Generator) -> str:
    """An acronym for a long form in the text, or the long form for an acronym in it."""
    text = f"{passage.title} {passage.heading} {' '.join(passage.blocks)}".lower()
    options: list[tuple[str, list[str]]] = []
    for letters, longs in passage.expansions.items():
        for long in longs:
            if long in text:
                options.append((letters, [letters, *long.split()]))
            elif letters in passage.acronyms and long == _expansion_in_text(longs, text, passage):
                options.append((long, [letters, *long.split()]))
    options = options or [(letters, [letters]) for letters in passage.acronyms]
    if not options:
        return ""
    name, taken = options[int(rng.integers(len(options)))]
    draw = rng.random()
    if draw < 0.15 and passage.corpus.language.name == "english" and name.isupper():
        return f"what is {name}" if draw < 0.08 else f"{name} meaning"
    more = _draw_phrase(_unused_phrases(passage, [*taken, *name.split()], 8), rng)
    core = [word for word in passage.core if word.lower() not in name.lower().split()]
    if core and rng.random() < 0.45:
        return _join(name, core[-1])
    return _join(name, more.text) if more else name


WRITERS: dict[str, Callable[[SeedPassage, np.random.Generator], str]] = {
    "known_item": known_item,
    "keyword": keyword,
    "question": question,
    "metadata": metadata,
    "short": short,
    "acronym": acronym,
}
"""One writer a style: of a query, or an empty string where the passage offers nothing for it."""


class ExtractiveSynthesizer:
    """Writes queries in the styles of `WRITERS`.

    Every choice follows from the seed and the passage's id: a document that comes or goes
    changes the queries of others only as far as it changes the corpus frequencies. The
    `prompt_hash` changes with language, weights, share of typos and the method's version.
    """

    name = "extractive"

    def __init__(
        self,
        language: str = "english",
        styles: Mapping[str, float] = DEFAULT_STYLES,
        typo_share: float = 0.06,
    ) -> None:
        """Arguments as in `SynthesisParameters`; UserError as of `style_weights`, `Language`."""
        self.language = Language(language)
        self.styles = style_weights(styles)
        self.typo_share = typo_share
        self.prompt_hash = digest(_VERSION, self.language.name, self.styles, typo_share)

    def write(
        self, passages: pd.DataFrame, seeds: pd.DataFrame, per_passage: int, seed: int
    ) -> pd.DataFrame:
        """A `queries` table for some passages of a corpus, in the order of `seeds`.

        A seed passage gets at most `per_passage` queries; one that offers nothing to ask for has
        no rows.
        """
        unspaced = sum(map(is_unspaced, passages["text"]))
        if unspaced:
            logger.warning(
                "%d of %d passages set no blanks between words: synthesizer=extractive does not "
                "segment them; use synthesizer=llm or a query log",
                unspaced,
                len(passages),
            )
        corpus = Corpus(passages, self.language)
        longs = expansions(passages, self.language)
        rows: list[tuple[str, str, str, int, str, str, str]] = []
        for record in seeds.to_dict("records"):
            passage = SeedPassage({str(key): value for key, value in record.items()}, corpus, longs)
            passage_id = str(record["passage_id"])
            rng = np.random.default_rng(hashed(seed, self.name, passage_id))
            for style, text in self._queries(passage, per_passage, rng):
                query_id = f"q-{digest(self.name, passage_id, style, text)}"
                rows.append((query_id, text, passage_id, 1, style, self.name, self.prompt_hash))
        return query_table(rows)

    def _queries(
        self, passage: SeedPassage, count: int, rng: np.random.Generator
    ) -> list[tuple[str, str]]:
        """(style, text) of up to `count` different queries for one passage."""
        found: dict[str, str] = {}
        weights = dict(self.styles)
        tries = count * _TRIES
        while len(found) < count and weights and tries:
            tries -= 1
            names = list(weights)
            shares = np.array([weights[name] for name in names])
            style = names[int(rng.choice(len(names), p=shares / shares.sum()))]
            text = self._finish(WRITERS[style](passage, rng), rng)
            if not text:
                weights.pop(style)
            elif text.lower() not in {known.lower() for known in found}:
                found[text] = style
        return [(style, text) for text, style in found.items()]

    def _finish(self, text: str, rng: np.random.Generator) -> str:
        """As it is typed: mostly in lower case, sometimes with a typo."""
        text = " ".join(text.split()).strip(" -,.:;'\"")
        if len(text) > _MAX_LENGTH:
            return ""
        if rng.random() < self.typo_share:
            text = misspell(text, rng)
        return text.lower() if rng.random() < _LOWER_SHARE else text
