"""What a user typed after `--params`: texts as typed, numbers and switches as such."""

import json
import os
from typing import Any

import click
import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

NUMBERS = {
    "depth", "fuse", "grade_unjudged", "limit", "log_text", "max_cost_usd", "max_queries", "prior",
    "prompts", "retry_failures", "second_pass", "seed", "size", "usd_per_hour", "max_latency_ms",
    "min_kept", "workers",
}  # fmt: skip
"""Parameters that hold a number or a switch; every other one without a group is a text: a path,
an id, a name. YAML, which Kedro reads values as, would make `No` of Norwegian, and nothing of
what follows ` #`."""


def read_parameters(typed: str) -> dict[str, Any]:
    """The values of `NAME=VALUE,GROUP.KEY=VALUE`.

    Raises:
        ClickException: An item has no name or no value.
    """
    given = OmegaConf.create()
    for item in filter(None, (part.strip() for part in typed.split(","))):
        name, equals, value = item.partition("=")
        name, value = name.strip(), value.strip()
        if not name or not equals:
            raise click.ClickException(
                f"--params: {item[:80]!r} is not NAME=VALUE (a value holds no comma)"
            )
        if not value:
            raise click.ClickException(
                f"--params: {name}= has no value; give one, or leave {name} out"
            )
        try:
            OmegaConf.update(given, name, _value(name, value), force_add=True)
        except (OmegaConfBaseException, LookupError, ValueError, TypeError) as error:
            raise click.ClickException(
                f"--params: {name} cannot be set; write GROUP.KEY=VALUE"
            ) from error
    found: Any = OmegaConf.to_container(given)
    return dict(found)


def _value(name: str, typed: str) -> Any:
    quoted = len(typed) > 1 and typed[0] == typed[-1] and typed[0] in "\"'"
    if quoted:
        return typed[1:-1]
    group = name.split(".")[0]
    if group not in NUMBERS and (group == name or group in ("columns", "grade_columns")):
        return _home_expanded(typed)
    if typed[0] in "[{":
        try:
            return yaml.safe_load(typed)
        except yaml.YAMLError:
            return typed
    try:
        return json.loads(typed)
    except ValueError:
        return _home_expanded(typed)


def _home_expanded(value: str) -> str:
    """`~` as a shell would expand it, had it seen it; Kedro would look for a folder `~`."""
    return ";".join(
        os.path.expanduser(part) if part.startswith("~/") else part for part in value.split(";")
    )
