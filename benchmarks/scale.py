r"""Time and memory of mining up to 1,000,000 passages, and of scoring 1,000,000 pairs.

Texts are drawn word by word, for size only: passages from the words of `trec-dl20`, as long as
those of the set, pairs from a few words. The labeler has random weights of a few thousand numbers.
Each step runs in a process of its own, whose peak of resident memory counts. A scoring is killed
by SIGKILL when half of its parts are there, resumed, and compared byte by byte with another.

    BENCHMARKS=/folder/of/the/sets python benchmarks/scale.py
    python benchmarks/scale.py --only scoring                   # the rest as last measured
    python benchmarks/scale.py --largest 20000 --queries 500 --dry               # a quick look
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from graded_sets import read_set
from pages import BENCHMARKS, PAGES, ROOT, machine
from pages import table as markdown

from relevance_distillery.channels.bm25 import BM25Channel
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.io.digests import file_digest
from relevance_distillery.labeler.distilling import distill
from relevance_distillery.labeler.inference import SHARD_ROWS, Labeler
from relevance_distillery.scoring.job import score_file
from relevance_distillery.scoring.pairs_file import PairsFile, ScoringOutput

sys.path.append(str(ROOT / "tests"))

PAGE, FIGURES = PAGES / "scale.md", PAGES / "scale.json"
SET = "trec-dl20"
DEPTH, QUERY_WORDS = 500, 8
BLOCK = 50_000
BATCH = 1024
STEPS = ("build", "save", "load", "search")
Found = dict[str, Any]


def peak() -> float:
    """The largest resident memory of this process, GB; `ru_maxrss` begins at its parent's."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 2**20


def drawn_texts(count: int, seed: int = 0) -> pd.Series:
    """Passages of words drawn as often as the set has them, as long as its passages."""
    texts = [text.split() for text in read_set(BENCHMARKS / SET, None).passages["text"]]
    words = np.array([word for text in texts for word in text], dtype=object)
    lengths = np.array([len(text) for text in texts])
    rng = np.random.default_rng(seed)
    blocks = []
    for start in range(0, count, BLOCK):
        sizes = rng.choice(lengths, min(BLOCK, count - start))
        ends = np.cumsum(sizes)
        chosen = words[rng.integers(len(words), size=ends[-1])]
        rows = zip(ends - sizes, ends, strict=True)
        made = [" ".join(chosen[first:last].tolist()) for first, last in rows]
        blocks.append(pd.Series(made, dtype="str"))
    return pd.concat(blocks, ignore_index=True)


def mine(passages: int, queries: int) -> Found:
    """Builds, saves, maps and searches an index in this process."""
    texts = drawn_texts(passages)
    table = pd.DataFrame({"passage_id": [f"p{row}" for row in range(passages)], "text": texts})
    begun = texts.sample(queries, random_state=0, replace=queries > passages)
    asked = pd.DataFrame({"text": [" ".join(text.split()[:QUERY_WORDS]) for text in begun]})
    asked["query_id"] = [f"q{row}" for row in range(queries)]
    found: Found = {"passages": passages, "queries": queries, "before_gb": peak(), "seconds": {}}

    def timed(step: str, run: Callable[..., Any], *arguments: Any) -> Any:
        started = time.perf_counter()
        result = run(*arguments)
        found["seconds"][step] = time.perf_counter() - started
        return result

    channel = timed("build", BM25Channel.build, table)
    found["build_gb"] = peak()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "index"
        timed("save", channel.save, place)
        found["index_gb"] = sum(file.stat().st_size for file in place.iterdir()) / 2**30
        channel = timed("load", BM25Channel.load, place)
        run = timed("search", channel.search, asked, DEPTH)
    return found | {"rows": len(run), "peak_gb": peak()}


def score(pairs: str, scored: str, labeler: str) -> Found:
    """Scores a file in this process, qrels included."""
    grader = Labeler.load(labeler, device="cpu", batch_size=BATCH)
    before, started = peak(), time.perf_counter()
    score_file(PairsFile(Path(pairs)), grader, ScoringOutput(scored, f"{scored}.qrels"))
    return {"seconds": time.perf_counter() - started, "before_gb": before, "peak_gb": peak()}


def write_pairs(path: Path, count: int, words: list[str]) -> None:
    """A file of queries with 100 passages each, in one row group."""
    rng = np.random.default_rng(0)
    names = np.array(words, dtype=object)
    texts = [" ".join(row) for row in names[rng.integers(len(names), size=(count, 6))]]
    asked = [" ".join(row) for row in names[rng.integers(len(names), size=(count // 100 + 1, 3))]]
    columns = {
        "query": [asked[row // 100] for row in range(count)],
        "text": texts,
        "query_id": [f"q{row // 100}" for row in range(count)],
        "document_id": [f"d{row}" for row in range(count)],
    }
    pq.write_table(pa.table(columns), path)


def start(*arguments: Any) -> subprocess.Popen:
    """This script with a step to do, in a process of its own."""
    command = [sys.executable, __file__, "--step", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def result(process: subprocess.Popen) -> Found:
    """What a step printed last."""
    said, _ = process.communicate()
    assert process.returncode == 0, process.returncode
    print(said, flush=True)
    return json.loads(said.splitlines()[-1])


def mining(largest: int, queries: int) -> Found:
    """Every size, and by which power of the passages time and memory grow."""
    sizes = [largest // 100, largest // 10, largest]
    rows = [result(start("mine", size, queries)) for size in sizes]
    counts = np.log(sizes)
    series = {step: [row["seconds"][step] for row in rows] for step in STEPS}
    series["memory"] = [row["peak_gb"] for row in rows]
    powers = {name: float(np.polyfit(counts, np.log(of), 1)[0]) for name, of in series.items()}
    return {"set": SET, "depth": DEPTH, "sizes": rows, "exponents": powers}


def scoring(largest: int) -> Found:
    """Two sizes undisturbed, then the larger one killed and resumed."""
    import tiny_models

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        settings = tiny_models.tiny_settings(tiny_models.encoder(place / "encoder"))
        labeler, _ = distill(tiny_models.tiny_data(), settings, DEFAULT_SCALE, place / "labeler")
        rows = []
        for size in (largest // 10, largest):
            write_pairs(pairs := place / "pairs.parquet", size, tiny_models.WORDS)
            undisturbed, killed = place / f"{size}.parquet", place / f"{size}-killed.parquet"
            rows.append({"pairs": size, **result(start("score", pairs, undisturbed, labeler))})
        process = start("score", pairs, killed, labeler)
        parts, half = killed.with_name(killed.name + ".parts"), size // SHARD_ROWS // 2
        while len(list(parts.glob("part-*"))) < half and process.poll() is None:
            time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kept = len(list(parts.glob("part-*")))
        resumed = result(start("score", pairs, killed, labeler))
        same = all(
            file_digest(Path(f"{undisturbed}{end}")) == file_digest(Path(f"{killed}{end}"))
            for end in ("", ".qrels")
        )
    whole = -(-size // SHARD_ROWS)
    return {"sizes": rows, "kept_parts": kept, "parts": whole, "resumed": resumed, "same": same}


def mining_page(found: Found) -> str:
    """The sizes as a table."""
    header = ["passages", *(f"{step}, s" for step in STEPS), "peak, GB"]
    rows = [
        [f"{row['passages']:,}", *(f"{row['seconds'][step]:.1f}" for step in STEPS),
         f"{row['peak_gb']:.1f}"]
        for row in found["sizes"]
    ]  # fmt: skip
    rows.append(["exponent", *(f"{found['exponents'][name]:.2f}" for name in (*STEPS, "memory"))])
    queries = found["sizes"][0]["queries"]
    return f"""**Mining** for {queries:,} queries, depth {found["depth"]}:

{markdown(header, rows)}"""


def scoring_page(found: Found) -> str:
    """Memory at two sizes, and what became of the kill."""
    small, large = found["sizes"]
    same = "the same" if found["same"] else "NOT the same"
    return f"""**Scoring** by random weights: {small["pairs"]:,} pairs of a file peak at
{small["peak_gb"]:.2f} GB, {large["pairs"]:,} at {large["peak_gb"]:.2f} GB
({large["pairs"] / large["seconds"]:,.0f} pairs/s). Killed by SIGKILL after {found["kept_parts"]} of
{found["parts"]} parts and resumed: {same} bytes.
"""


def main() -> None:
    """Measures what is asked for, keeps the figures, and writes the page from all of them."""
    if sys.argv[1:2] == ["--step"]:
        step, *arguments = sys.argv[2:]
        found = score(*arguments) if step == "score" else mine(*map(int, arguments))
        print(json.dumps(found))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--largest", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--only", choices=("mining", "scoring"))
    parser.add_argument("--dry", action="store_true", help="writes nothing")
    asked = parser.parse_args()
    here = machine()
    stored = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.is_file() else {}
    measured = stored["measured"] if stored.get("machine") == here else {}
    facts = {"date": str(datetime.date.today())}
    if asked.only != "scoring":
        measured["mining"] = facts | mining(asked.largest, asked.queries)
    if asked.only != "mining":
        measured["scoring"] = facts | scoring(asked.largest)
    pages = {"mining": mining_page, "scoring": scoring_page}
    body = "\n".join(pages[name](found) for name, found in measured.items())
    page = f"""# Size

Machine: {here}. Date: {facts["date"]}. Texts are drawn word by word.

```
BENCHMARKS=… python benchmarks/scale.py
```

{body}"""
    print(page)
    if not asked.dry:
        figures = {"machine": here, "measured": measured}
        FIGURES.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
