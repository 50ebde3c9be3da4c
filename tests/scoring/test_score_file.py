"""Files of pairs graded shard by shard: formats, resuming, failures."""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from checkout import start_script
from relevance_distillery.errors import UserError
from relevance_distillery.executors.execution import Executor
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.judges.base import Verdict
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.scoring.graders import GRADE_COLUMNS, JudgeGrader
from relevance_distillery.scoring.job import score_file
from relevance_distillery.scoring.pairs_file import SUFFIXES, GivenPairs, PairsFile, ScoringOutput
from relevance_distillery.scoring.shards import GradedShard, PairShard

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from pair_files import pair_rows, read_rows, write_rows  # noqa: E402
from slow_scoring import LengthGrader  # noqa: E402


def _score(
    pairs: Path,
    scored: Path,
    grader: Any = None,
    qrels: Path | None = None,
    executor: Executor = map,
) -> None:
    output = ScoringOutput(str(scored), str(qrels) if qrels else None)
    score_file(PairsFile(pairs), grader or LengthGrader(), output, executor=executor)


@pytest.mark.parametrize("source", SUFFIXES)
@pytest.mark.parametrize("target", SUFFIXES)
def test_same_rows_in_order_with_grades(source: str, target: str, tmp_path: Path) -> None:
    rows = pair_rows(2055)
    pairs, scored = write_rows(tmp_path / f"pairs{source}", rows), tmp_path / f"scored{target}"
    _score(pairs, scored)
    result = read_rows(scored)
    assert len(result) == 2055
    for i in (0, 2047, 2048, 2054):
        assert list(result[i]) == [*rows[0], *GRADE_COLUMNS]
        assert {key: str(result[i][key]) for key in rows[i]} == {
            key: str(value) for key, value in rows[i].items()
        }
        assert int(result[i]["grade"]) == 2 * (1 + i % 7) % 4
    assert [path.name for path in tmp_path.iterdir() if path not in (pairs, scored)] == []


def test_qrels_hold_the_best_grade_of_a_document(tmp_path: Path) -> None:
    rows = [
        {"query_id": "q", "document_id": "a", "query": "x", "text": "1"},
        {"query_id": "q", "document_id": "b", "query": "x", "text": "22"},
        {"query_id": "q", "document_id": "a", "query": "x", "text": "333"},
    ]
    pairs = write_rows(tmp_path / "pairs.jsonl", rows)
    _score(pairs, tmp_path / "out.jsonl", qrels=tmp_path / "out.qrels")
    assert (tmp_path / "out.qrels").read_text() == "q 0 a 3\nq 0 b 2\n"
    no_ids = write_rows(tmp_path / "no_ids.csv", [{"query": "x", "text": "y"}])
    with pytest.raises(UserError, match="lacks query_id, document_id"):
        _score(no_ids, tmp_path / "out.csv", qrels=tmp_path / "out.qrels")
    spaced = write_rows(tmp_path / "spaced.jsonl", [{**rows[0], "query_id": "two words"}])
    with pytest.raises(UserError, match="blanks"):
        _score(spaced, tmp_path / "out.jsonl", qrels=tmp_path / "out.qrels")


def test_rows_that_cannot_be_graded_are_kept_counted_and_listed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = pair_rows(2100)
    rows[5]["text"] = "  "
    rows[2099]["query"] = ""
    pairs, scored = write_rows(tmp_path / "pairs.jsonl", rows), tmp_path / "scored.parquet"
    with caplog.at_level(logging.INFO):
        _score(pairs, scored)
    result = read_rows(scored)
    assert len(result) == 2100
    assert result[5]["grade"] is None
    assert sum(row["grade"] is None for row in result) == 2
    assert "2 of 2100 pairs got no grade" in caplog.text
    assert "row 6: neither title nor text; row 2100: empty query" in caplog.text
    assert "pairs/s" in caplog.records[-1].getMessage()
    _score(pairs, tmp_path / "scored.csv")
    assert read_rows(tmp_path / "scored.csv")[5]["grade"] == ""


def test_nothing_graded_is_a_failure(tmp_path: Path) -> None:
    pairs = write_rows(tmp_path / "pairs.csv", [{"query": "", "text": "x"}] * 3)
    with pytest.raises(UserError, match="none of 3 pairs"):
        _score(pairs, tmp_path / "scored.csv")
    assert not (tmp_path / "scored.csv").exists()


def test_a_killed_scoring_resumes_and_grades_nothing_twice(tmp_path: Path) -> None:
    pairs = write_rows(tmp_path / "pairs.jsonl", pair_rows(2048 * 6 + 10))
    scored, log = tmp_path / "scored.csv", tmp_path / "asked"
    script = HERE / "slow_scoring.py"
    process = start_script(script, pairs, scored, log, 0.5)
    parts = tmp_path / "scored.csv.parts"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and len(list(parts.glob("part-*.csv"))) < 2:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    finished = len(list(parts.glob("part-*.csv")))
    assert not scored.exists()
    asked_before = log.read_text().splitlines()
    status, said = start_script(script, pairs, scored, log, 0).wait()
    assert status == 0
    assert "more from before the interruption" in said
    asked_again = log.read_text().splitlines()[len(asked_before) :]
    # The query of a row takes two lines of the log.
    assert len(asked_again) == 2 * (2048 * (6 - finished) + 10)
    _score(pairs, tmp_path / "straight.csv")
    assert scored.read_bytes() == (tmp_path / "straight.csv").read_bytes()
    assert not parts.exists()


def test_reading_a_large_row_group_keeps_memory_flat(tmp_path: Path) -> None:
    rows = 40_000
    noise = random.Random(0)
    texts = [noise.randbytes(400).hex() for _ in range(rows)]
    table = pa.table({"query": [text[:20] for text in texts], "text": texts})
    pq.write_table(table, tmp_path / "pairs.parquet", row_group_size=rows)
    del table
    before = pa.total_allocated_bytes()

    held = [pa.total_allocated_bytes() for _ in PairsFile(tmp_path / "pairs.parquet").shards()]

    # The texts are 32 MB.
    assert len(held) == 20
    assert max(held) - before < 20_000_000


def _missing(stop_at: int | None = None) -> tuple[Executor, list[int]]:
    """Grades in a shuffled order, stops before shard `stop_at`, notes the shards it was given."""
    given: list[int] = []

    def executor(
        grade: Callable[[PairShard], GradedShard], shards: Iterable[PairShard]
    ) -> Iterator[GradedShard]:
        waiting = list(shards)
        given.extend(shard.number for shard in waiting)
        random.Random(3).shuffle(waiting)
        stopped = [shard for shard in waiting if shard.number == stop_at]
        for shard in [shard for shard in waiting if shard.number != stop_at]:
            yield grade(shard)
        if stopped:
            raise RuntimeError("stopped")

    return executor, given


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_hole_is_filled_and_the_order_of_shards_changes_nothing(
    suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = pair_rows(2048 * 3 + 7)
    rows[2050]["text"] = ""
    pairs = write_rows(tmp_path / "pairs.jsonl", rows)
    scored, qrels = tmp_path / f"scored{suffix}", tmp_path / "qrels"
    executor, given = _missing(stop_at=1)
    with pytest.raises(RuntimeError, match="stopped"):
        _score(pairs, scored, executor=executor)
    assert given == [0, 1, 2, 3]
    parts = tmp_path / f"scored{suffix}.parts"
    assert sorted(int(part.name[5:13]) for part in parts.glob("part-*")) == [0, 2, 3]

    executor, given = _missing()
    with caplog.at_level(logging.INFO):
        _score(pairs, scored, qrels=qrels, executor=executor)
    assert given == [1]
    assert "resuming: 3 of 4 parts are done" in caplog.text
    straight = tmp_path / f"straight{suffix}"
    _score(pairs, straight, qrels=tmp_path / "straight.qrels")
    assert scored.read_bytes() == straight.read_bytes()
    assert qrels.read_text() == (tmp_path / "straight.qrels").read_text()
    assert not parts.exists()


def test_a_finished_folder_that_was_removed_by_half_is_not_resumed(tmp_path: Path) -> None:
    pairs = write_rows(tmp_path / "pairs.jsonl", pair_rows(2100))
    parts = tmp_path / "scored.csv.parts"
    parts.mkdir()
    (parts / "part-00000000.csv").write_text("of a run that was joined\n")
    _score(pairs, tmp_path / "scored.csv")
    assert len(read_rows(tmp_path / "scored.csv")) == 2100


def test_other_pairs_or_another_grader_start_afresh(tmp_path: Path) -> None:
    pairs, scored = write_rows(tmp_path / "pairs.jsonl", pair_rows(3000)), tmp_path / "scored.jsonl"

    class Stops(LengthGrader):
        def grade(self, pairs: pd.DataFrame) -> pd.DataFrame:
            if len(pairs) < 2048:
                raise RuntimeError("stopped")
            return super().grade(pairs)

    with pytest.raises(RuntimeError, match="stopped"):
        _score(pairs, scored, Stops())
    assert (tmp_path / "scored.jsonl.parts" / "part-00000000.jsonl").is_file()
    rows = pair_rows(3000)
    rows[0]["text"] = "another"
    write_rows(pairs, rows)
    _score(pairs, scored)
    assert read_rows(scored)[0]["text"] == "another"


def test_memory_stays_bounded(tmp_path: Path) -> None:
    file = PairsFile(write_rows(tmp_path / "pairs.csv", pair_rows(9000)))
    sizes = [len(shard.texts) for shard in file.shards()]
    assert sizes == [2048, 2048, 2048, 2048, 808]
    # Each row of CSV has two lines, after the header's.
    found = [shard.row_numbers[0] for shard in file.shards(skip={0, 2, 3})]
    assert found == [1 + 2 * 2049, 1 + 2 * 8193]


def _text(content: str | bytes) -> Callable[[Path], None]:
    data = content.encode() if isinstance(content, str) else content
    return lambda path: path.write_bytes(data) and None


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("none.csv", lambda path: None, "no such file"),
        ("pairs.txt", _text("x"), "give a file that ends with"),
        ("pairs.csv", _text("query,body\na,b\n"), "lacks the column text; it has query, body"),
        ("pairs.csv", _text("query,text,grade\na,b,1\n"), "already has the column grade"),
        ("pairs.csv", _text("query,text\na,b,c\n"), "row 2: has more cells than the header"),
        ("pairs.csv", _text("query,text\na,b\nc\n"), "row 3: lacks text"),
        ("pairs.csv", _text(b"query,text\na,\xff\xfe\n"), "row 2: is not valid UTF-8"),
        ("pairs.csv", _text(""), "lacks the column query, text; it has none"),
        ("pairs.jsonl", _text(""), "holds no pairs"),
        ("pairs.jsonl", _text('{"query":"a","text":"b"}\n{"query"\n'), "row 2: is not valid JSON"),
        ("pairs.jsonl", _text('{"query":"a","text":"b"}\n{"query":"a"}\n'), "row 2: lacks text"),
        (
            "pairs.jsonl",
            _text('{"query":{"q":"a"},"text":["b"]}\n'),
            "row 1: query, text is a list or an object, not a text; correct the row",
        ),
        ("pairs.jsonl.gz", _text(b"no gzip"), "is not a whole gzip file"),
        ("pairs.parquet", _text(b"PAR0"), "not a Parquet file"),
    ],
)
def test_bad_files_are_one_line(
    name: str, write: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    write(path)
    with pytest.raises(UserError) as raised:
        _score(path, tmp_path / "out.csv")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_is_never_written_over_its_own_pairs(tmp_path: Path) -> None:
    path = tmp_path / "ok.csv"
    path.write_text("query_id,document_id,query,text\n1,2,a,b\n")
    (tmp_path / "link.csv").symlink_to(path)
    for scored, qrels in (
        (path, None),
        (tmp_path / "link.csv", None),
        (tmp_path / "out.csv", path),
        (tmp_path / "out.csv", tmp_path / "out.csv"),
    ):
        output = ScoringOutput(str(scored), None if qrels is None else str(qrels))
        with pytest.raises(UserError, match=r"is the file of (pairs|scored); name another"):
            output.check(PairsFile(path))
    ScoringOutput(str(tmp_path / "out.csv"), str(tmp_path / "q.txt")).check(PairsFile(path))
    assert path.read_text().endswith("1,2,a,b\n")


def test_forgotten_file_names_say_what_to_type(tmp_path: Path) -> None:
    pairs = write_rows(tmp_path / "pairs.csv", pair_rows(3))
    with pytest.raises(UserError, match="give a file of pairs"):
        GivenPairs().open()
    with pytest.raises(UserError, match="say where to write"):
        score_file(PairsFile(pairs), LengthGrader(), ScoringOutput())


class _Judge:
    name, model, prompt_hash, scale = "picky", "m", "p", DEFAULT_SCALE
    budget = None

    def request_hashes(self, pairs: pd.DataFrame) -> list[str]:
        return [f"{q}/{t}" for q, t in zip(pairs["query"], pairs["text"], strict=True)]

    def grade(self, shards: Iterable[pd.DataFrame]) -> Any:
        for pairs in shards:
            for key, text in zip(self.request_hashes(pairs), pairs["text"], strict=True):
                if text == "odd":
                    yield [Verdict(key, status="missing", reason="not in the file")]
                else:
                    yield [Verdict(key, grade=2, probabilities=(0.1, 0.2, 0.4, 0.3))]


def test_another_judge_can_grade_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [{"query": "a", "text": text} for text in ("fine", "odd", "fine")]
    pairs, scored = write_rows(tmp_path / "pairs.csv", rows), tmp_path / "scored.jsonl"
    with caplog.at_level(logging.INFO):
        _score(pairs, scored, JudgeGrader(_Judge(), Ledger(tmp_path / "ledger.sqlite")))
    result = read_rows(scored)
    assert [row["grade"] for row in result] == [2, None, 2]
    assert result[0]["expected_grade"] == pytest.approx(1.9)
    assert result[0]["confidence"] == pytest.approx(0.4)
    assert "row 3: missing: not in the file" in caplog.text
