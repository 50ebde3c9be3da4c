"""Folders of query encoders: the vectors of sentence-transformers, and only for their own index."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny_models
from relevance_distillery.encoders.base_model import load_encoder
from relevance_distillery.errors import UserError
from relevance_distillery.retriever.encoder import Retriever
from relevance_distillery.retriever.index import PassageIndex
from relevance_distillery.retriever.query_encoder import (
    QueryEncoder,
    write_query_encoder,
    write_static_encoder,
)

TEXTS = ["w1 w2 w3", "w9", "w4 unknown w4", " ".join(tiny_models.WORDS)]


def _facts(reference: Retriever, **more: Any) -> dict[str, Any]:
    about = {"name": reference.name, "fingerprint": reference.fingerprint}
    return {"reference": about, "max_length": 24, "rung": "aligned", "training": {}} | more


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Retriever:
    return Retriever.load(
        tiny_models.retriever(tmp_path_factory.mktemp("reference")), precision="fp32"
    )


def _made(kind: str, folder: Path, reference: Retriever) -> QueryEncoder:
    network, tokenizer = load_encoder(str(tiny_models.encoder(folder / "base")))
    random, made = np.random.default_rng(0), folder / kind
    if kind == "static":
        table = random.standard_normal((len(tokenizer), 32))
        write_static_encoder(made, tokenizer, table, _facts(reference))
    else:
        wider = random.standard_normal((48, 32)) if kind == "projected" else None
        write_query_encoder(made, tokenizer, network, _facts(reference), wider)
    return QueryEncoder.load(made)


@pytest.mark.parametrize("kind", ["transformer", "projected", "static"])
def test_sentence_transformers_makes_the_same_vectors(
    kind: str, reference: Retriever, tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    encoder = _made(kind, tmp_path, reference)
    ours = encoder.encode_queries(TEXTS)
    theirs = SentenceTransformer(str(tmp_path / kind), device="cpu").encode(TEXTS)
    assert ours.dtype == np.float32
    assert ours.shape == (4, 48 if kind == "projected" else 32)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1.0, atol=1e-5)
    assert encoder.encode_queries([]).shape == (0, ours.shape[1])
    if kind == "transformer":
        np.testing.assert_allclose(ours, reference.encode_queries(TEXTS), atol=1e-5)


def test_an_index_of_another_model_is_refused(reference: Retriever, tmp_path: Path) -> None:
    encoder = _made("static", tmp_path, reference)
    passages = tiny_models.tables()[2].head(3)
    PassageIndex.build(reference, passages, tmp_path / "index").require(encoder)
    other = Retriever.load(tiny_models.retriever(tmp_path / "other", max_length=9))
    index = PassageIndex.build(other, passages, tmp_path / "other-index")
    with pytest.raises(UserError, match="is for that of another model; name a registered version"):
        index.require(encoder)


def test_what_is_no_query_encoder_is_refused_and_nothing_is_half_written(
    reference: Retriever, tmp_path: Path
) -> None:
    network, tokenizer = load_encoder(str(tiny_models.encoder(tmp_path / "base")))
    folder = tmp_path / "encoders" / "one"
    with pytest.raises(UserError, match="vectors of 32 numbers cannot search an index of 48"):
        write_query_encoder(folder, tokenizer, network, _facts(reference, width=48))
    with pytest.raises(UserError, match="10 token vectors needs a fast tokenizer of no more"):
        write_static_encoder(folder, tokenizer, np.ones((10, 32)), _facts(reference))
    assert not folder.parent.exists()
    with pytest.raises(UserError, match="no query encoder; run kedro run"):
        QueryEncoder.load(folder)
    write_query_encoder(folder, tokenizer, network, _facts(reference))
    known = json.loads((folder / "query_encoder.json").read_text())
    (folder / "query_encoder.json").write_text(json.dumps(known | {"format": 2}))
    with pytest.raises(UserError, match="format 2 instead of 1"):
        QueryEncoder.load(folder)
    (folder / "query_encoder.json").write_text("{")
    with pytest.raises(UserError, match=r"query_encoder.json is damaged|cannot be read"):
        QueryEncoder.load(folder)
