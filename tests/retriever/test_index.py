"""Vectors of passages on disk: the same as SentenceTransformer's, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tiny_models
from relevance_distillery.errors import UserError
from relevance_distillery.retriever import index as index_module
from relevance_distillery.retriever.encoder import Retriever
from relevance_distillery.retriever.index import PassageIndex
from relevance_distillery.text.terms import passage_text


def test_sentence_transformers_makes_the_same_vectors_of_the_folder(
    folder: Path, index_folder: Path, passages: pd.DataFrame
) -> None:
    from sentence_transformers import SentenceTransformer

    texts = passage_text(passages, ("title", "heading", "text"))
    theirs = SentenceTransformer(str(folder), device="cpu").encode(texts)
    exact = Retriever.load(folder, precision="fp32").encode_passages(passages)
    np.testing.assert_allclose(exact, theirs, atol=1e-5)
    # The index is made in bf16 where the processor has it.
    kept = np.load(index_folder / "vectors.npy")
    assert kept.dtype == np.float32
    np.testing.assert_allclose(kept, theirs, atol=1e-2)


def test_passages_are_found_by_their_own_text_and_every_product_counts(
    retriever: Retriever, index_folder: Path, passages: pd.DataFrame
) -> None:
    index = PassageIndex.load(index_folder)
    assert index.passage_ids.tolist() == passages["passage_id"].tolist()
    assert index.document_ids.tolist() == passages["document_id"].tolist()
    vectors = retriever.encode_passages(passages)
    _, scores = index.search(vectors, 5)
    # Random weights may hold two passages for the same.
    assert (scores[:, 0] > 0.999).all()
    every = vectors @ vectors.T
    np.testing.assert_allclose(scores, -np.sort(-every, axis=1)[:, :5], atol=2e-6)
    assert index.search(vectors[:2], 10_000)[0].shape == (2, len(passages))


def test_blocks_change_nothing(
    retriever: Retriever,
    index_folder: Path,
    passages: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(index_module, "_BLOCK", 7)
    PassageIndex.build(retriever, passages, tmp_path / "index")
    ours = np.load(tmp_path / "index" / "vectors.npy")
    np.testing.assert_allclose(ours, np.load(index_folder / "vectors.npy"), atol=1e-6)


def test_an_index_of_another_retriever_is_refused(
    retriever: Retriever, index_folder: Path, tmp_path: Path
) -> None:
    index = PassageIndex.load(index_folder)
    index.require(retriever)
    other = Retriever.load(tiny_models.retriever(tmp_path, max_length=9))
    with pytest.raises(UserError, match=r"made by the retriever retriever@.*train_retriever"):
        index.require(other)


def test_a_build_that_fails_leaves_what_was_there(
    retriever: Retriever, passages: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "index"
    PassageIndex.build(retriever, passages.head(3), folder)
    monkeypatch.setattr(index_module, "_BLOCK", 7)
    encode, calls = Retriever.encode_passages, []

    def stops(self: Retriever, table: pd.DataFrame) -> np.ndarray:
        calls.append(len(table))
        if len(calls) > 2:
            raise RuntimeError("stopped")
        return encode(self, table)

    monkeypatch.setattr(Retriever, "encode_passages", stops)
    with pytest.raises(RuntimeError, match="stopped"):
        PassageIndex.build(retriever, passages, folder)
    assert len(PassageIndex.load(folder)) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def test_what_is_no_whole_index_is_refused(
    retriever: Retriever, passages: pd.DataFrame, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="no passages to index"):
        PassageIndex.build(retriever, passages.head(0), tmp_path / "none")
    with pytest.raises(UserError, match="no index of passages"):
        PassageIndex.load(tmp_path)
    folder = tmp_path / "index"
    PassageIndex.build(retriever, passages.head(3), folder)
    facts = json.loads((folder / "index.json").read_text())
    for damaged in ("{", json.dumps({**facts, "passage_ids": ["a"]}), "[]"):
        (folder / "index.json").write_text(damaged)
        with pytest.raises(UserError, match=r"cannot be read: .*run kedro run"):
            PassageIndex.load(folder)
