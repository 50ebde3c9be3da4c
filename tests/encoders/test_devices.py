from __future__ import annotations

import pytest
import torch
from transformers import BertConfig, BertModel

from relevance_distillery.encoders import devices
from relevance_distillery.encoders.devices import (
    autocast,
    choose_attention,
    choose_device,
    choose_precision,
    settle_precision,
    within_memory,
)
from relevance_distillery.errors import UserError


@pytest.mark.parametrize(
    ("amx", "avx512_bf16", "precision"),
    [(True, False, "bf16"), (False, True, "bf16"), (False, False, "fp32")],
)
def test_a_processor_with_bf16_units_computes_in_bf16(
    amx: bool, avx512_bf16: bool, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = {"avx2": True, "amx_bf16": amx, "avx512_bf16": avx512_bf16}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags)
    assert choose_precision("cpu") == precision


def test_a_processor_of_another_kind_computes_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"architecture": "aarch64"})
    assert choose_precision("cpu") == "fp32"


@pytest.mark.parametrize(("supported", "precision"), [(True, "bf16"), (False, "fp32")])
def test_a_gpu_is_asked_too(
    supported: bool, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: supported)
    assert choose_precision("cuda") == precision
    assert choose_precision("mps") == "fp32"


def test_a_gpu_is_taken_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (choose_device(), choose_device("cpu")) == ("cuda", "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == "cpu"


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta-cpu", ""])
def test_a_device_that_is_not_here_is_one_line(device: str) -> None:
    with pytest.raises(UserError, match=r"cannot be used: .*; choose auto or cpu") as caught:
        choose_device(device)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("units", "asked", "trained", "settled", "said"),
    [
        (True, "auto", "bf16", "bf16", ""),
        (True, "auto", "fp32", "fp32", ""),
        (True, "bf16", "fp32", "bf16", ""),
        (False, "auto", "bf16", "fp32", "grades in fp32"),
        (False, "bf16", "bf16", "bf16", "emulates it, which is slow"),
        (False, "fp32", "bf16", "fp32", ""),
        (False, "auto", "fp32", "fp32", ""),
    ],
)
def test_bf16_is_not_emulated_unless_asked_for_by_name_and_either_is_said_once(
    units: bool,
    asked: str,
    trained: str,
    settled: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": units})
    devices._warn_once.cache_clear()
    assert {settle_precision("cpu", asked, trained) for _ in range(3)} == {settled}
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == bool(said)
    assert all(said in warning for warning in warnings)


def test_a_batch_is_halved_until_memory_holds_it(caplog: pytest.LogCaptureFixture) -> None:
    tried: list[int] = []

    def read(size: int, fits: int = 5) -> str:
        tried.append(size)
        if size > fits:
            raise torch.OutOfMemoryError("17 GiB")
        return "read"

    assert within_memory(read, 32, "cpu") == ("read", 4)
    assert tried == [32, 16, 8, 4]
    assert [record.getMessage() for record in caplog.records] == [
        "cpu lacks memory for batch_size=32: now 4"
    ]
    with pytest.raises(UserError, match=r"^cuda:1 lacks memory even for batch_size=1: .*$"):
        within_memory(lambda size: read(size, 0), 3, "cuda:1")
    assert tried[4:] == [3, 1]


def test_autocast_multiplies_in_the_precision_asked_for() -> None:
    one = torch.ones(2, 2)
    for precision, kind in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        with autocast("cpu", precision):
            assert (one @ one).dtype == kind


@pytest.mark.parametrize(
    ("device", "precision", "length", "attention"),
    [
        ("cpu", "bf16", 192, "eager"),
        ("cpu", "fp32", 192, "sdpa"),
        ("cpu", "bf16", 8192, "sdpa"),
        ("cuda", "bf16", 192, "sdpa"),
    ],
)
def test_attention_of_short_inputs_is_two_products_where_that_is_faster(
    device: str, precision: str, length: int, attention: str
) -> None:
    small = {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "vocab_size": 8}
    network = BertModel(BertConfig(**small, intermediate_size=8))
    choose_attention(network, device, precision, length)
    assert network.config._attn_implementation == attention
