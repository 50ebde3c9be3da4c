"""A tiny reference for all tests of query encoders."""

from __future__ import annotations

import pytest

import tiny_models
from relevance_distillery.encoders.base_model import load_encoder
from relevance_distillery.retriever.encoder import Retriever, write_retriever


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Retriever:
    """A random BERT of two layers that turn token states a good deal, so that one is missed."""
    folder = tmp_path_factory.mktemp("reference")
    network, tokenizer = load_encoder(str(tiny_models.encoder(folder / "tiny-bert")))
    for layer in network.encoder.layer:
        for weight in layer.parameters():
            if weight.ndim == 2:
                weight.data *= 10
    facts = {"base_model": "tiny-bert", "max_length": 24, "training": {}}
    write_retriever(network, tokenizer, folder / "retriever", facts)
    return Retriever.load(folder / "retriever", precision="fp32")
