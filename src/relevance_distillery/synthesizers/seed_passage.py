"""A passage as a searcher remembers it: its title's words, its year, author, folder and kind."""

import calendar
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from relevance_distillery.documents.acronyms import ACRONYM
from relevance_distillery.documents.markdown import blocks, plain
from relevance_distillery.synthesizers.phrases import Corpus, Phrase, content_runs
from relevance_distillery.text.language import WORD, words

_YEAR = re.compile(r"(?<!\d)(?:19|20)\d{2}(?!\d)")
_DATE = re.compile(r"^(?:19|20)\d{2}-\d{2}(-\d{2})?$|^\d{6,8}$")
_GENERIC_FILE_NAMES = words("index readme default page untitled document main")
_COMMON_DATE = 0.6
_MONTHS = list(calendar.month_name)
_UNITS = words(
    """eur usd sek sgd gbp chf cet cest utc gmt gb mb tb kb am pm ok id url pdf html csv vp ceo eu
    us uk it hr"""
)
_FUNCTION = words(
    """a an the of for and or to in on at by with from your our we my i you is are be was it its how
    what when where which who why as that this do does not may can me us"""
)
DOCUMENT_KINDS = words(
    """agenda agreement announcement brief budget calendar catalogue charter checklist contract
    decision faq form forecast glossary guide guidelines handbook how-to howto incident job letter
    list manual memo minutes note notes onboarding overview page plan playbook policy postmortem
    presentation pricing procedure project process proposal quota rca readme recap register release
    report requirements retro retrospective review roadmap rules runbook schedule spec specification
    standard steering summary template timeline training tutorial update"""
)
"""English words for kinds of document."""


def _kind(word: str) -> str:
    """The kind of document that a word names, in the singular; empty for other words."""
    lower = word.lower()
    for form in (re.sub("ies$", "y", lower), lower, lower.removesuffix("s")):
        if form in DOCUMENT_KINDS:
            return "how to" if form in ("how-to", "howto") else form
    return ""


@dataclass(frozen=True)
class SeedPassage:
    """One row of the `passages` table with the facts that queries are made of."""

    row: dict[str, Any]
    corpus: Corpus
    expansions: dict[str, tuple[str, ...]]
    """Acronyms and long forms of the whole corpus, see `acronyms.expansions`."""

    @cached_property
    def title(self) -> str:
        """The title as plain words; a title that is a file name is taken apart."""
        title = plain(str(self.row["title"]))
        return title if " " in title else re.sub(r"(?<=[^\W\d])[-_](?=[^\W\d])", " ", title)

    @cached_property
    def heading(self) -> str:
        """The innermost heading as plain words."""
        return plain(str(self.row["heading"]).rsplit(" > ", 1)[-1])

    @cached_property
    def blocks(self) -> list[str]:
        """Paragraphs, list items and cells of the passage as plain text."""
        return blocks(str(self.row["text"]))

    @cached_property
    def phrases(self) -> list[Phrase]:
        """Phrases of the passage, the highest score first."""
        return self.corpus.phrases(self.title, self.heading, str(self.row["text"]))

    @cached_property
    def title_words(self) -> list[str]:
        """Words of the title without articles, pronouns, prepositions and days, in order."""
        found = WORD.findall(re.sub(r"['’]s\b", "", self.title))
        language = self.corpus.language
        skipped = _FUNCTION if language.name == "english" else language.stop_words
        months = {name.lower() for name in _MONTHS}
        kept: list[str] = []
        for place, word in enumerate(found):
            after = found[place + 1].lower() if place + 1 < len(found) else ""
            day = word.isdigit() and len(word) < 3 and after in months
            shout = word.isupper() and len(word) > 1
            if not day and not _DATE.match(word) and (shout or word.lower() not in skipped):
                kept.append(word)
        return kept

    @cached_property
    def heading_words(self) -> list[str]:
        """Words of the heading without stop words; empty where all are weak or numbers."""
        words = [word for run in content_runs(self.heading, self.corpus.language) for word in run]
        weak = self.corpus.language.weak_words
        strong = [word for word in words if word.lower() not in weak and not word.isdigit()]
        return words if strong else []

    @cached_property
    def core(self) -> list[str]:
        """The one to three neighbouring words of the title that people remember."""
        corpus = self.corpus
        best: tuple[float, list[str]] = (0.0, [])
        for run in content_runs(self.title, corpus.language):
            for start in range(len(run)):
                for stop in range(start + 1, min(start + 3, len(run)) + 1):
                    span = run[start:stop]
                    generic = [
                        word
                        for word in span
                        if word.lower() in DOCUMENT_KINDS or _YEAR.fullmatch(word)
                    ]
                    if generic or _DATE.match(span[0]) or not corpus.searchable(tuple(span)):
                        continue
                    score = corpus.score(tuple(span))
                    if score > best[0]:
                        best = (score, span)
        return best[1] or [word for word in self.title_words if not _YEAR.fullmatch(word)][:2]

    @cached_property
    def kind(self) -> str:
        """The kind of document named by title, file name or folder; empty when none is."""
        found = [run for run in content_runs(self.title, self.corpus.language) if run]
        for place, run in enumerate(found):
            named = [word for word in run if not word[0].isdigit() and not word.isupper()]
            alone = place == 0 and len(run) == 1 and not self.title.startswith(f"{run[0]}:")
            if named and not alone and (kind := _kind(named[-1])):
                return kind
        stem = re.sub(r"[-_\d]+", " ", self.file_stem).split()
        for word in [*stem[-1:], *self.folders[:2]]:
            if kind := _kind(word):
                return kind
        return ""

    @cached_property
    def year(self) -> str:
        """The year in the title or the file name, else of the date; empty when unknown."""
        date = str(self.row["modified"])
        # A date that most documents share, as after an import, is no memory of anybody's.
        date = date if self.corpus.date_share(date[:4]) < _COMMON_DATE else ""
        for text in (self.title, str(self.row["path"]), date):
            found = _YEAR.findall(text)
            if found:
                return str(found[-1])
        return ""

    @cached_property
    def month(self) -> str:
        """The month of the date in words, with the year; empty when unknown."""
        match = re.match(r"(\d{4})-(\d{2})", str(self.row["modified"]))
        if not match or not 1 <= int(match.group(2)) <= 12:
            return ""
        if self.corpus.date_share(match.group()) >= _COMMON_DATE / 2:
            return ""
        return f"{_MONTHS[int(match.group(2))].lower()} {match.group(1)}"

    @cached_property
    def file_stem(self) -> str:
        """The file's name without suffixes; empty for names that every folder has."""
        name = str(self.row["path"]).rstrip("/").rsplit("/", 1)[-1].removesuffix(".gz")
        stem = name.rsplit(".", 1)[0] if "." in name else name
        return "" if stem.lower().strip("_") in _GENERIC_FILE_NAMES else stem

    @cached_property
    def suffix(self) -> str:
        """The file's suffix with its point, empty when there is none."""
        name = str(self.row["path"]).rsplit("/", 1)[-1].removesuffix(".gz")
        return "." + name.rsplit(".", 1)[1] if "." in name else ""

    @cached_property
    def folders(self) -> list[str]:
        """The folders above the file, innermost first."""
        path = str(self.row["path"])
        if "://" in path or "/" not in path:
            return []
        return [part for part in reversed(path.split("/")[:-1]) if part.lower() != "content"]

    @cached_property
    def author(self) -> str:
        """The first author."""
        return str(self.row["author"]).split(",")[0].strip()

    @cached_property
    def acronyms(self) -> list[str]:
        """Acronyms of title, heading and text, each once, in order."""
        text = " ".join([self.title, self.heading, *self.blocks])
        return [
            letters
            for letters in dict.fromkeys(ACRONYM.findall(text))
            if not letters[1:].isdigit()
            and letters.lower() not in _UNITS
            and self.corpus.frequency(self.corpus.language.stem(letters)) >= 2
        ]
