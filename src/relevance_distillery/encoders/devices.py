"""Where and in what precision a model runs: decided by what the processor can do, never by timing.

Timing would let a busy machine choose other arithmetic, and with it another labeler.
"""

import logging
from collections.abc import Callable
from functools import cache
from typing import Any, Literal, TypeVar, cast

import torch
from torch import Tensor

from relevance_distillery.errors import UserError

logger = logging.getLogger(__name__)
_T = TypeVar("_T")
_SHORT = 512  # tokens; attention scores of longer inputs would fill the memory

Precision = Literal["fp32", "bf16"]


def choose_device(device: str = "auto") -> str:
    """A torch device name; `auto` takes a GPU when there is one, UserError for one not here."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return str(torch.empty(0, device=device).device)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"device={device} cannot be used: {reason}; choose auto or cpu") from error


def choose_precision(device: str) -> Precision:
    """bf16 where the processor multiplies bf16 in hardware, else fp32.

    On a CPU that is AMX or AVX-512-BF16; without them bf16 is emulated, and slower than fp32.
    """
    kind = torch.device(device).type
    if kind == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    flags = torch.cpu.get_capabilities() if kind == "cpu" else {}
    return "bf16" if flags.get("amx_bf16") or flags.get("avx512_bf16") else "fp32"


def settle_precision(device: str, asked: str, trained: str) -> Precision:
    """The precision to grade in: the one that is asked for, with `auto` that of training.

    Where the processor would emulate bf16, `auto` takes fp32 and bf16 asked for by name is slow;
    either is said once. UserError where `asked` is none of auto, fp32, bf16.
    """
    if asked not in ("auto", "fp32", "bf16"):
        raise UserError(f"precision={asked}: choose auto, fp32 or bf16")
    wanted = cast(Precision, trained if asked == "auto" else asked)
    if wanted == "fp32" or choose_precision(device) == "bf16":
        return wanted
    if asked == "bf16":
        _warn_once("precision=bf16: this %s emulates it, which is slow; auto takes fp32", device)
        return "bf16"
    _warn_once(
        "a labeler trained in bf16, which this %s would emulate, grades in fp32: a few grades at "
        "the edge of two can differ; precision=bf16 keeps them and is slow",
        device,
    )
    return "fp32"


_warn_once = cache(logger.warning)


def within_memory(read: Callable[[int], _T], size: int, device: str) -> tuple[_T, int]:
    """What `read` gives for a batch size that fits the device: `size`, or half of it and so on.

    Returns it with that size, of which a warning tells; UserError where not even one row fits.
    """
    fits = size
    while fits:
        try:
            found = read(fits)
        except torch.OutOfMemoryError:
            fits //= 2
        else:
            if fits < size:
                logger.warning("%s lacks memory for batch_size=%d: now %d", device, size, fits)
            return found, fits
        torch.cuda.empty_cache()  # only here has the failed batch been let go
    raise UserError(
        f"{device} lacks memory even for batch_size=1: free some, choose a smaller model, or hide "
        "the device (CUDA_VISIBLE_DEVICES=) to use the processor"
    )


def autocast(device: str, precision: str) -> torch.autocast:
    """A context in which a forward pass runs in `precision`."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bf16")


def prepare_inference(network: Any, device: str, precision: str, max_length: int) -> None:
    """Give a network that is only to be read the weights and the attention that are fastest.

    Weights in bf16 need no conversion at every layer, as autocast's do.

    `network` is a Hugging Face model, float32, and changed in place; `device` is where it is to
    run, and `max_length` the tokens of the longest input.
    """
    choose_attention(network, device, precision, max_length)
    network.config.use_cache = False  # of a decoder's keys and values, which no token will follow
    if precision == "bf16":
        network.to(torch.bfloat16)


def choose_attention(network: Any, device: str, precision: str, max_length: int) -> None:
    """Compute attention in the way that is fastest; arguments as of `prepare_inference`.

    On a CPU two bf16 products are faster than the fused kernel, by a twentieth when grading and a
    fifth when training; in fp32 they are slower.
    """
    on_cpu = torch.device(device).type == "cpu"
    if on_cpu and precision == "bf16" and max_length <= _SHORT:
        network.set_attn_implementation("eager")


def to_device(batch: dict[str, Any], device: Any) -> dict[str, Any]:
    """The batch with every tensor on `device`."""
    return {
        name: to_device(value, device) if isinstance(value, dict) else value.to(device)
        for name, value in batch.items()
        if isinstance(value, (dict, Tensor))
    }
