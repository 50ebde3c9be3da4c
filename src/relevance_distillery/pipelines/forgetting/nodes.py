"""The one step of the forgetting pipeline."""

import logging
from unicodedata import normalize

from relevance_distillery.documents.forgetting import ForgottenDocuments, StoredFiles
from relevance_distillery.errors import UserError
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.pipelines.forgetting.parameters import ForgettingParameters

logger = logging.getLogger(__name__)


def forget_document(
    stored: StoredFiles,
    ledger: Ledger,
    forgotten: ForgottenDocuments,
    parameters: ForgettingParameters,
) -> None:
    """Delete a document from ledger and tables, and keep it out of later runs.

    The list of forgotten documents comes first and the tables last, so that the same
    command finishes the work of one that was killed.

    Raises:
        UserError: No id was given, nothing stored has it, or a labeling run is going on.
    """
    name = parameters.document
    if not name:
        raise UserError(
            'say which document: kedro run --pipeline=forget --params="document=ID", with an id '
            "of the table documents"
        )
    with ledger.lock():
        # A Mac's file names have é in two signs, what people type has it in one.
        for spelt in dict.fromkeys([name, normalize("NFD", name), normalize("NFC", name)]):
            traces = stored.traces(spelt)
            answers = ledger.about(spelt, sorted(traces.requests))
            if traces.rows or answers:
                name = spelt
                break
        else:
            if name in forgotten.ids():
                raise UserError(f"document={name}: it was forgotten before; nothing is left of it")
            raise UserError(
                f"document={name}: nothing that is stored has this id, so nothing was deleted; "
                "ids are in the column document_id of the table documents"
            )
        logger.info(
            "found document %s in %d tables, with %d passages and %d queries written from it; "
            "deleting",
            name,
            len(traces.rows),
            len(traces.passages),
            len(traces.queries),
        )
        forgotten.add(name)
        ledger.forget(name, sorted(traces.requests))
        derived = stored.remove(traces)
    logger.info(
        "forgot document %s: %d passages, %d queries written from it, %d rows of the ledger",
        name,
        len(traces.passages),
        len(traces.queries),
        answers,
    )
    rows: dict[str, list[int]] = {}
    for path, count in traces.rows.items():
        rows.setdefault(path.stem, []).append(count)
    for table, counts in sorted(rows.items()):
        logger.info("deleted %d rows of %s (%d files)", sum(counts), table, len(counts))
    for path in derived:
        logger.info("deleted %s, which contained its text; the next run rebuilds it", path)
    logger.info(
        "later runs leave it out; a labeler that was trained on it, figures, backups and files "
        "that you exported are as they were: docs/how-to/forget-a-document.md"
    )
