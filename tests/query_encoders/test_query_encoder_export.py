"""What is served: networks in int8, how fast each rung is, and which of them is taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tiny_models
from relevance_distillery.encoders.base_model import load_encoder
from relevance_distillery.errors import UserError
from relevance_distillery.query_encoders.export import export_int8
from relevance_distillery.query_encoders.latency import choose_rung, measure_latency
from relevance_distillery.retriever.query_encoder import QueryEncoder, write_query_encoder

TEXTS = [f"{a} {b} {c}" for a, b, c in np.random.default_rng(0).choice(tiny_models.WORDS, (60, 3))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("rungs")
    network, tokenizer = load_encoder(str(tiny_models.encoder(made / "base")))
    about = {"name": "tiny", "fingerprint": "f"}
    facts = {"reference": about, "max_length": 24, "rung": "aligned"}
    wider = np.random.default_rng(1).standard_normal((48, 32))
    write_query_encoder(made / "aligned", tokenizer, network, facts, wider)
    return made


def test_int8_gives_nearly_the_same_vectors_and_is_still_a_sentence_transformer(
    folder: Path,
) -> None:
    from sentence_transformers import SentenceTransformer

    before = QueryEncoder.load(folder / "aligned")
    after = QueryEncoder.load(export_int8(folder / "aligned", folder / "aligned_int8"))
    assert after.name.startswith("aligned_int8@")
    assert after.fingerprint == before.fingerprint
    texts = [*TEXTS[:40], "w1", " ".join(tiny_models.WORDS)]
    ours, theirs = after.encode_queries(texts), before.encode_queries(texts)
    assert ours.shape == (42, 48)
    assert (ours * theirs).sum(axis=1).min() > 0.97
    # What is batched with a text must not change it much.
    single = np.concatenate([after.encode_queries([text]) for text in texts])
    assert (ours * single).sum(axis=1).min() > 0.99
    read = SentenceTransformer(str(folder / "aligned_int8"), device="cpu").encode(texts)
    np.testing.assert_allclose(read, theirs, atol=1e-5)


def test_what_cannot_be_int8_is_refused_and_nothing_is_written(
    folder: Path, tmp_path: Path
) -> None:
    words = folder / "base"
    network, tokenizer = load_encoder(
        str(tiny_models.with_layers_above(tmp_path / "other", "modernbert", words))
    )
    facts = {"reference": {"name": "a", "fingerprint": "f"}, "max_length": 24, "rung": "aligned"}
    write_query_encoder(tmp_path / "aligned", tokenizer, network, facts)
    with pytest.raises(UserError, match=r"for BERT and its relatives.*not for modernbert"):
        export_int8(tmp_path / "aligned", tmp_path / "int8")
    assert not (tmp_path / "int8").exists()


def test_encoders_are_timed_in_turns_on_the_same_queries(folder: Path) -> None:
    encoder, other = QueryEncoder.load(folder / "aligned"), QueryEncoder.load(folder / "aligned")
    asked: list[tuple[str, int]] = []
    for name, one in (("reference", encoder), ("aligned", other)):
        embed = one._embed

        def counted(texts, name=name, embed=embed):
            asked.append((name, len(texts)))
            return embed(texts)

        one._embed = counted
    found = measure_latency({"reference": encoder, "aligned": other}, TEXTS[:20])
    single = [name for name, size in asked if size == 1]
    assert single[:9] == ["reference"] * 9
    assert single[9:18] == ["aligned"] * 9
    assert single.count("reference") == single.count("aligned") == 20 + 3
    assert [name for name, size in asked if size == 20] == ["reference", "aligned"] * 2
    for row in found.values():
        assert 0 < row["median_ms"] <= row["p95_ms"] <= row["p99_ms"]
    assert found["reference"]["speedup"] == found["reference"]["throughput"] == 1.0


LATENCY = {name: {"median_ms": ms} for name, ms in
           {"reference": 15.0, "aligned": 8.0, "pruned": 5.0, "static": 0.06}.items()}  # fmt: skip
KEPT = {"reference": 1.0, "aligned": 0.995, "pruned": 0.985, "static": 0.97}


@pytest.mark.parametrize(
    ("longest", "least", "chosen"),
    [
        (None, None, "pruned"),
        (None, 0.95, "static"),
        (10.0, None, "aligned"),
        (6.0, 0.98, "pruned"),
        (1.0, None, "static"),
        (None, 0.99, "aligned"),
    ],
)
def test_a_limit_picks_the_rung(longest: float | None, least: float | None, chosen: str) -> None:
    assert choose_rung(KEPT, LATENCY, longest, least)[0] == chosen


def test_limits_that_no_rung_meets_are_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"aligned keeps 99.5% .* at 8 ms, static keeps 97.0%"):
        choose_rung(KEPT, LATENCY, 1.0, 0.99)
    with pytest.raises(UserError, match="no query has a value"):
        choose_rung({"reference": 1.0, "static": None}, LATENCY, None, None)
    weak = {"static": 0.4, "pruned": 0.5}
    name, why = choose_rung(weak, LATENCY, None, None)
    assert name == "pruned"
    assert "less than 98.0%" in why
