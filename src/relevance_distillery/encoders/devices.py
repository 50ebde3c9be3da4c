"""Where and in what precision a model runs: decided by what the processor can do, never by timing.

Timing would let a busy machine choose other arithmetic, and with it another labeler.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

_SHORT = 512  # tokens; attention scores of longer inputs would fill the memory

Precision = Literal["fp32", "bf16"]


def choose_device(device: str = "auto") -> str:
    """A torch device name; `auto` takes a GPU when there is one."""
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def choose_precision(device: str) -> Precision:
    """bf16 where the processor multiplies bf16 in hardware, else fp32.

    On a CPU that is AMX or AVX-512-BF16; without them bf16 is emulated, and slower than fp32.

    Args:
        device: A torch device name.
    """
    kind = torch.device(device).type
    if kind == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    flags = torch.cpu.get_capabilities() if kind == "cpu" else {}
    return "bf16" if flags.get("amx_bf16") or flags.get("avx512_bf16") else "fp32"


def autocast(device: str, precision: str) -> torch.autocast:
    """A context in which a forward pass runs in `precision`."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bf16")


def prepare_inference(network: Any, device: str, precision: str, max_length: int) -> None:
    """Give a network that is only to be read the weights and the attention that are fastest.

    Weights in bf16 need no conversion at every layer, as autocast's do.

    Args:
        network: A Hugging Face model, float32; changed in place.
        device: The torch device name where it is to run.
        precision: As `choose_precision` gives it.
        max_length: Tokens of the longest input.
    """
    choose_attention(network, device, precision, max_length)
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
