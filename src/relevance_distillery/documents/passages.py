"""Documents into passages that fit the labeler, along headings, then sentences."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile

import pandas as pd
from semantic_text_splitter import MarkdownSplitter

from relevance_distillery.documents.cleaning import normalise
from relevance_distillery.documents.markdown import Section, sections, without_links
from relevance_distillery.io.digests import json_digest
from relevance_distillery.text.words import ends_in_word

PASSAGE_COLUMNS = (
    "passage_id", "document_id", "title", "heading", "text", "path", "author", "modified",
)  # fmt: skip
ORIGIN_COLUMNS = ("document_id", "digest", "passages_digest")
_SHARED = ("path", "author", "modified")
_SEPARATOR = " > "
_SLACK = 1.15
"""A long section is cut into equal parts, each allowed this much more, so that sentences fit."""


@dataclass(frozen=True)
class Splitter:
    """Splits one document after the other; limits as in `PassageParameters`.

    Attributes:
        count_tokens: Length of a text in tokens.
        enabled: False makes one passage of every document, whatever its length.
        tokenizer: Name of what counts, part of the digest.
    """

    count_tokens: Callable[[str], int]
    max_tokens: int = 160
    min_tokens: int = 60
    enabled: bool = True
    tokenizer: str = ""

    @property
    def settings(self) -> str:
        """What changes the passages of an unchanged document, as one string."""
        return json.dumps((1, self.max_tokens, self.min_tokens, self.enabled, self.tokenizer))

    def split(self, title: str, text: str) -> list[tuple[str, str]]:
        """(heading path, text) of every passage of a document, in order; never empty."""
        if not self.enabled:
            return [("", text)]
        parts: list[Section] = []
        for section in sections(without_links(text)):
            path = section.path
            if path and normalise(path[0]) == normalise(title):
                path = path[1:]
            parts.extend(Section(path, piece) for piece in self._cut(section.body))
        passages = [self._render(group) for group in self._merge(parts)]
        return passages or [("", text.strip())]

    def _cut(self, body: str) -> list[str]:
        total = self.count_tokens(body)
        if total <= self.max_tokens:
            return [body.strip("\n")]
        parts = math.ceil(total / self.max_tokens)
        target = min(self.max_tokens, math.ceil(total / parts * _SLACK))
        return MarkdownSplitter.from_callback(self.count_tokens, target).chunks(body)

    def _merge(self, parts: list[Section]) -> list[list[Section]]:
        groups: list[list[Section]] = []
        sizes: list[int] = []
        for part in parts:
            size = self.count_tokens(part.body)
            if (
                groups
                and sizes[-1] + size <= self.max_tokens
                and (min(sizes[-1], size) < self.min_tokens)
            ):
                # The headings that a joint passage has to show count as well.
                joint = self.count_tokens(self._render([*groups[-1], part])[1])
                if joint <= self.max_tokens:
                    groups[-1].append(part)
                    sizes[-1] = joint
                    continue
            groups.append([part])
            sizes.append(size)
        return groups

    @staticmethod
    def _render(group: list[Section]) -> tuple[str, str]:
        """The headings that all sections share, then the text with the headings that differ."""
        levels = zip(*(section.path for section in group), strict=False)
        common = tuple(names[0] for names in takewhile(lambda names: len(set(names)) == 1, levels))
        blocks: list[str] = []
        above = common
        for section in group:
            if section.path != above:
                fresh = section.path[len(common) :]
                old = above[len(common) :]
                depths = range(len(fresh))
                shown = [fresh[at] for at in depths if fresh[: at + 1] != old[: at + 1]]
                blocks.extend(f"{name}:" if ends_in_word(name) else name for name in shown)
                above = section.path
            blocks.append(section.body)
        return _SEPARATOR.join(common), "\n".join(blocks).strip()


def split_documents(
    documents: pd.DataFrame,
    splitter: Splitter,
    previous: pd.DataFrame | None = None,
    origins: pd.DataFrame | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, int]]:
    """Split every document that changed since the last time; the others keep their passages.

    `previous` are the passages of the last run, `origins` what they were made from: columns
    document_id, digest (of the document and the settings), passages_digest.

    Returns:
        The `passages` table in the order of the documents, the new origins, and counts:
        documents, passages, split (documents that were split now), kept (documents whose
        passages were kept). `passage_id` is the document's id where splitting is off, else
        `DOCUMENT_ID#N`, N from 0.
    """
    known = _reusable(previous, origins)
    rows: list[dict[str, str]] = []
    made_from: list[tuple[str, str, str]] = []
    split = 0
    for document in documents.to_dict("records"):
        identifier = document["document_id"]
        seen = [identifier, *(document[name] for name in ("title", "text", *_SHARED))]
        digest = json_digest([*seen, splitter.settings], 12)
        found = known.get((identifier, digest))
        if found is None:
            split += 1
            shared = {name: document[name] for name in ("document_id", "title", *_SHARED)}
            found = [
                {
                    "passage_id": f"{identifier}#{number}" if splitter.enabled else identifier,
                    **shared,
                    "heading": heading,
                    "text": text,
                }
                for number, (heading, text) in enumerate(
                    splitter.split(document["title"], document["text"])
                )
            ]
        rows.extend(found)
        made_from.append((identifier, digest, _rows_digest(found)))
    kept = len(documents) - split
    counts = {"documents": len(documents), "passages": len(rows), "split": split, "kept": kept}
    passages = pd.DataFrame(rows, columns=list(PASSAGE_COLUMNS)).astype(str)
    return passages, pd.DataFrame(made_from, columns=list(ORIGIN_COLUMNS)).astype(str), counts


def _rows_digest(rows: list[dict[str, str]]) -> str:
    return json_digest([row[name] for row in rows for name in PASSAGE_COLUMNS], 12)


def _reusable(
    previous: pd.DataFrame | None, origins: pd.DataFrame | None
) -> dict[tuple[str, str], list[dict[str, str]]]:
    """Earlier passages by document and digest, only where the table still holds them whole."""
    if previous is None or origins is None or previous.empty or origins.empty:
        return {}
    rows: dict[str, list[dict[str, str]]] = {}
    for row in previous[list(PASSAGE_COLUMNS)].to_dict("records"):
        rows.setdefault(row["document_id"], []).append({str(k): str(v) for k, v in row.items()})
    made_from = origins[list(ORIGIN_COLUMNS)].astype(str).itertuples(index=False, name=None)
    return {
        (identifier, digest): rows[identifier]
        for identifier, digest, passages_digest in made_from
        if identifier in rows and _rows_digest(rows[identifier]) == passages_digest
    }
