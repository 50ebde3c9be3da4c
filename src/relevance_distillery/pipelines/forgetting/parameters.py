"""Parameters of the forgetting pipeline."""

from relevance_distillery.strict import StrictModel


class ForgettingParameters(StrictModel):
    """Which document goes."""

    document: str | None = None
    """The document's id, as in the table `documents`: for a folder, the path of the file below
    it."""
