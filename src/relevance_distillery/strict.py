"""The base of everything that a user configures, and of the JSON files of a labeler."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class StrictModel(BaseModel):
    """A frozen model that refuses unknown keys and says which ones it knows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys_only(cls, values: Any) -> Any:
        if isinstance(values, dict):
            unknown = sorted(str(key) for key in values if key not in cls.model_fields)
            if unknown:
                raise ValueError(
                    f"{', '.join(unknown)} is not a known key; known: "
                    f"{', '.join(sorted(cls.model_fields))}"
                )
        return values
