r"""The same pairs graded by one process and by two workers of Ray, and what larger sizes take.

Pairs are of passages of `trec-dl20`, drawn for size only, each with five queries. One process and
Ray alternate, each in a process of its own that is started anew; the time includes
starting Ray. Memory is the resident memory of each process, looked at twice a second.

    BENCHMARKS=/folder/of/the/sets python benchmarks/scale_out.py --labeler FOLDER
    python benchmarks/scale_out.py --only costs --usd-per-hour 0.10 --cores 2     # your prices
    python benchmarks/scale_out.py --labeler FOLDER --pairs 4096 --rounds 1 --dry    # a quick look
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
from graded_sets import read_set
from pages import BENCHMARKS, PAGES, machine
from pages import table as markdown

from relevance_distillery.executors.execution import ExecutionParameters
from relevance_distillery.io.digests import file_digest
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.scoring.job import score_file
from relevance_distillery.scoring.pairs_file import PairsFile, ScoringOutput

PAGE, FIGURES = PAGES / "scale-out.md", PAGES / "scale-out.json"
SET = "trec-dl20"
QUERIES = 5  # of a passage
WAYS = {"one process": "local", "Ray, two workers": "ray"}
Found = dict[str, Any]


def write_pairs(path: Path, count: int) -> None:
    """Passages drawn from the set, each beside five of its queries."""
    judged = read_set(BENCHMARKS / SET, None)
    queries = judged.queries["text"].to_numpy(dtype=object)
    texts = judged.passages["text"].to_numpy(dtype=object)
    rng = np.random.default_rng(0)
    drawn = texts[rng.integers(len(texts), size=-(-count // QUERIES))].repeat(QUERIES)[:count]
    asked = queries[rng.integers(len(queries), size=count)]
    pd.DataFrame({"query": asked, "text": drawn}).to_parquet(path, index=False)


def score(pairs: str, scored: str, labeler: str, executor: str) -> None:
    """Scores a file; Ray's workers have a core each, one process has both."""
    execution = ExecutionParameters.model_validate({"executor": executor})
    output = ScoringOutput(scored)
    score_file(PairsFile(Path(pairs)), Labeler.load(labeler), output, executor=execution.make())


def measured(pairs: Path, scored: Path, labeler: Path, executor: str) -> Found:
    """Seconds from start to end, and the peak of memory of driver and workers, GB."""
    command = [sys.executable, __file__, "--step", str(pairs), str(scored), str(labeler), executor]
    started = time.perf_counter()
    process = psutil.Popen(command)
    driver = worker = 0
    while process.poll() is None:
        try:
            driver = max(driver, process.memory_info().rss)
            for child in process.children(recursive=True):
                if any("Worker" in part for part in child.cmdline()):
                    worker = max(worker, child.memory_info().rss)
        except psutil.Error:
            pass
        time.sleep(0.5)
    assert process.returncode == 0, process.returncode
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "driver_gb": driver / 2**30, "worker_gb": worker / 2**30}


def compare(labeler: Path, count: int, rounds: int) -> Found:
    """Alternating rounds at a tenth of the size, then all pairs once by either."""
    found: Found = {"pairs": count, "rounds": [], "labeler": Labeler.load(labeler).name}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for size, times in ((count // 10, rounds), (count, 1)):
            write_pairs(pairs := place / f"{size}.parquet", size)
            for number in range(times):
                row: Found = {"pairs": size}
                for way, executor in WAYS.items():
                    scored = place / f"{size}-{executor}.parquet"
                    row[way] = measured(pairs, scored, labeler, executor)
                    row[way]["digest"] = file_digest(scored)
                row |= differences(*place.glob(f"{size}-*.parquet"))
                print(json.dumps(row), flush=True)
                found["rounds"].append(row | {"round": number})
    return found


def differences(one: Path, other: Path) -> Found:
    """Rows of another grade, rows of any other figure, and the largest difference."""
    tables = [pd.read_parquet(path) for path in (one, other)]
    grades = [table["grade"].to_numpy() for table in tables]
    expected = [table["expected_grade"].to_numpy() for table in tables]
    return {
        "other_grades": int((grades[0] != grades[1]).sum()),
        "other_figures": int((expected[0] != expected[1]).sum()),
        "largest": float(abs(expected[0] - expected[1]).max()),
    }


def main() -> None:
    """Measures, keeps the figures, and writes the page."""
    if sys.argv[1:2] == ["--step"]:
        score(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--labeler", type=Path)
    parser.add_argument("--pairs", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", choices=["costs"])
    parser.add_argument("--usd-per-hour", type=float, default=0.10, help="of one machine")
    parser.add_argument("--cores", type=int, default=2, help="of one machine")
    parser.add_argument("--dry", action="store_true", help="writes nothing")
    asked = parser.parse_args()
    if asked.only:
        found = json.loads(FIGURES.read_text(encoding="utf-8"))
        print(costs(found, asked.usd_per_hour, asked.cores))
        return
    if asked.labeler is None:
        parser.error("--labeler FOLDER is needed")
    found = compare(asked.labeler, asked.pairs, asked.rounds)
    found |= {"machine": machine(), "date": str(datetime.date.today())}
    text = page(found)
    print(text)
    if not asked.dry:
        FIGURES.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        PAGE.write_text(text, encoding="utf-8")


def page(found: Found) -> str:
    """Speed, memory and sizes."""
    one, two = WAYS
    whole = found["rounds"][-1]
    ratios = [row[two]["seconds"] / row[one]["seconds"] for row in found["rounds"][:-1]]
    same = all(row[one]["digest"] == row[two]["digest"] for row in found["rounds"])
    rows = [
        [
            f"{row['pairs']:,}",
            way,
            f"{row[way]['seconds']:.0f}",
            f"{row['pairs'] / row[way]['seconds']:.0f}",
            f"{row[way]['driver_gb']:.2f}",
            f"{row[way]['worker_gb']:.2f}" if row[way]["worker_gb"] else "",
        ]
        for row in (found["rounds"][0], whole)
        for way in WAYS
    ]
    header = ["pairs", "way", "s", "pairs/s", "driver, GB", "a worker, GB"]
    ratio = whole[two]["seconds"] / whole[one]["seconds"]
    alike = "the same, byte for byte" if same else "NOT the same"
    return f"""# Past one machine

Machine: {found["machine"]}. Date: {found["date"]}.

```
BENCHMARKS=… python benchmarks/scale_out.py --labeler FOLDER
```

Passages of `trec-dl20`, each with five queries: one process against two workers of Ray on the same
two cores, by {found["labeler"]}, starts of Python and Ray included. The
files are {alike}. Ray takes {statistics.median(ratios):.2f}×
({min(ratios):.2f} to {max(ratios):.2f}) the time in {len(ratios)} alternating rounds of
{found["rounds"][0]["pairs"]:,} pairs, {ratio:.2f}× for {whole["pairs"]:,}.

{markdown(header, rows)}
{costs(found)}"""


def costs(found: Found, usd_per_hour: float = 0.10, cores: int = 2) -> str:
    """Hours and dollars of large sizes from the pairs/s of two cores under Ray."""
    whole = found["rounds"][-1]
    a_core = whole["pairs"] / whole[list(WAYS)[1]]["seconds"] / 2
    rows = []
    for pairs in (10**7, 10**9):
        machine_hours = pairs / (a_core * cores) / 3600
        nodes = (1, 10, 100)
        hours = [f"{machine_hours / count:,.2f}" for count in nodes]
        rows.append([f"{pairs:,}", *hours, f"{machine_hours * usd_per_hour:,.2f}"])
    header = ["pairs", "hours, 1 machine", "10", "100", "USD"]
    return f"""{a_core:.0f} pairs/s a core, machines of {cores} cores, {usd_per_hour} USD/h each:

{markdown(header, rows)}"""


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
