"""Keys come from the environment or from Kedro's credentials, never from parameters.

Parameters are logged, by MLflow and by anybody who pastes a command into a ticket. So a key among
them is refused before anything reads, logs or tracks them, and its value is not repeated.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kedro.config import MissingConfigException
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from omegaconf import OmegaConf

from relevance_distillery.errors import UserError
from relevance_distillery.hooks.checks import parameters_of
from relevance_distillery.llm.settings import Endpoint

VARIABLES = {"api_key": "OPENAI_API_KEY", "base_url": "OPENAI_BASE_URL"}
"""Entries of the credentials `openai` and the variables of the SDK that they fill."""

_ALWAYS_SECRET = {"secret", "secrets", "password", "passwd", "authorization", "apikey", "bearer"}
_SECRET_TEXT = {"key", "token", "credential", "credentials"}
"""Words that name a secret, and those that do so unless a number follows, as in
`characters_per_token`."""

_LOOKS_SECRET = re.compile(r"\bsk-[\w-]{8,}|\bBearer\s+\S{8,}|://[^/\s:@]*:[^/\s@]+@", re.I)
_SHORTEST_KEY = 8
"""A shorter one is a placeholder such as `none`, which other parameters may well hold."""

_HOW = (
    'set OPENAI_API_KEY in the environment, or "openai: {api_key: …}" in conf/local/credentials.yml'
)


def refuse_secrets(parameters: Mapping[str, Any], where: str, keys: tuple[str, ...] = ()) -> None:
    """Stop where a parameter, nested or not, looks like a key or holds one of `keys`.

    Raises:
        UserError: Names the parameter and `where` it comes from, never its value.
    """
    for name, value in _flat(parameters):
        if _names_secret(name, value) or _holds_secret(value, keys):
            raise UserError(
                f"{name} in {where} looks like a key or password, and parameters are logged: {_HOW}"
            )


class CredentialsHooks:
    """Keeps keys out of parameters, and fills the SDK's variables from Kedro's credentials."""

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Refuses keys in parameters before anything reads them, then looks for credentials."""
        loader = context.config_loader
        typed = getattr(loader, "runtime_params", None) or {}
        refuse_secrets(typed, "--params", _keys())
        _fill_environment(_credentials(loader))
        keys = _keys()
        refuse_secrets(typed, "--params", keys)
        try:
            refuse_secrets(loader["parameters"], "the configuration", keys)
        except MissingConfigException:
            return

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Asks for model and key before the first node of a run that will call an API."""
        made = pipeline.all_outputs()
        if "labels" in made:
            labeling = parameters_of(catalog, "labeling")
            judge = str(labeling.get("judge", ""))
            if judge in ("cascade", "consensus"):
                judge = str((labeling.get(judge) or {}).get("judges") or "")
            for name in judge.split(";"):
                kind, _, model = name.strip().partition(":")
                if kind == "llm":
                    _require("judge=llm", model or (labeling.get("llm") or {}).get("model"))
        if "query_drafts" in made:
            synthesis = parameters_of(catalog, "synthesis")
            if synthesis.get("synthesizer") == "llm":
                _require("synthesizer=llm", (synthesis.get("llm") or {}).get("model"))


def _require(who: str, model: Any) -> None:
    if not model:
        raise UserError(f'{who} has no model: name the server\'s with --params="model=NAME"')
    Endpoint.from_environment().require_key()


def _credentials(loader: Any) -> Mapping[str, Any]:
    """The entry `openai` of the environment's credentials, else of conf/local."""
    try:
        found = loader["credentials"].get("openai")
    except MissingConfigException:
        found = None
    except Exception as error:
        # The parser's message quotes the line, and with it the key.
        raise UserError(
            f"a credentials file cannot be read ({type(error).__name__}): correct it in "
            "conf/base, the environment's folder or conf/local"
        ) from None
    if found is None:
        found = _personal(Path(str(loader.conf_source)) / "local").get("openai")
    if found is None:
        return {}
    if not isinstance(found, Mapping) or set(found) - set(VARIABLES):
        raise UserError(
            "the credentials openai must hold api_key and, for another server than OpenAI's, "
            "base_url, and nothing else"
        )
    return found


def _personal(folder: Path) -> Mapping[str, Any]:
    """The credentials in conf/local, which Kedro reads only where no other environment is named."""
    merged: dict[str, Any] = {}
    for file in sorted(folder.rglob("credentials*.yml")):
        try:
            content = OmegaConf.to_container(OmegaConf.load(file), resolve=True)
        except Exception as error:
            raise UserError(
                f"{file}: cannot be read ({type(error).__name__}); correct it"
            ) from None
        if isinstance(content, dict):
            merged.update({str(name): value for name, value in content.items()})
    return merged


def _fill_environment(credentials: Mapping[str, Any]) -> None:
    for entry, variable in VARIABLES.items():
        value = credentials.get(entry)
        # What is set for one command overrides the file.
        if value and not os.environ.get(variable):
            os.environ[variable] = str(value)


def _keys() -> tuple[str, ...]:
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    return (key,) if len(key) >= _SHORTEST_KEY else ()


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}.")
        elif isinstance(value, (list, tuple)):
            for number, item in enumerate(value):
                inner = item if isinstance(item, Mapping) else {"": item}
                yield from ((f"{path}[{number}]{part}", v) for part, v in _flat(inner))
        else:
            yield path, value


def _names_secret(name: str, value: Any) -> bool:
    if value is None:
        return False
    words = set(re.split(r"[^a-z]+", name.rpartition(".")[2].lower()))
    if words & _ALWAYS_SECRET:
        return True
    return bool(words & _SECRET_TEXT) and not isinstance(value, (int, float))


def _holds_secret(value: Any, keys: tuple[str, ...]) -> bool:
    if not isinstance(value, str):
        return False
    return bool(_LOOKS_SECRET.search(value)) or any(key in value for key in keys)
