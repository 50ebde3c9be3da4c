"""Ten thousand pairs through a server that breaks on purpose, and ten kills on the way.

`kedro run --pipeline=label --env=llm` grades the bundled corpus's candidates over a real HTTP
server that answers with every fault that a server can have; the run is killed (SIGKILL) at
random moments and started again. Printed: whether labels and failures are together the pairs,
whether each failure has the reason that its fault deserves, and how many pairs were asked for
again after a valid answer, which only requests in flight at a kill may be.

    python benchmarks/llm_faults.py [--kills 10] [--queries 950]
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT / "tests"), str(ROOT / "tests" / "llm")]

from fault_server import FINAL, PASSING, FaultPlan, FaultServer  # noqa: E402

from checkout import Project, make_project  # noqa: E402

CONCURRENCY = 64
REASONS = {
    "off_scale": "invalid",
    "gibberish": "unparseable",
    "empty": "empty",
    "null": "empty",
    "filter": "filtered",
    "refusal": "refused",
    "truncated": "truncated",
    "context": "context_length",
}


def label(project: Project, url: str) -> subprocess.Popen[str]:
    """A labeling run in a process group of its own, so that a kill leaves nothing behind."""
    settings = {
        "model": "tiny-chat",
        "labeling.llm.concurrency": CONCURRENCY,
        "labeling.llm.timeout_seconds": 1.5,
    }
    return subprocess.Popen(
        project.command(
            "run",
            "--pipeline=label",
            "--env=llm",
            "--params=" + ",".join(f"{name}={value}" for name, value in settings.items()),
        ),
        cwd=project.path,
        env={**project.environment, "OPENAI_BASE_URL": url, "OPENAI_API_KEY": "any"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def lines(file: Path) -> int:
    """Requests that the server has recorded."""
    with file.open("rb") as stream:
        return sum(1 for _ in stream)


def kill_at_random(
    project: Project, server: FaultServer, times: int, pairs: int, seed: int
) -> list[int]:
    """Start and kill `times` runs; returns after how many new requests each was killed."""
    chance, killed = random.Random(seed), []
    for _ in range(times):
        before = lines(server.file)
        run = label(project, server.url)
        after = chance.randint(1, max(2, pairs // (times + 1)))
        while run.poll() is None and lines(server.file) - before < after:
            time.sleep(0.02)
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        killed.append(lines(server.file) - before)
        time.sleep(3)  # What was in flight is answered, and recorded, meanwhile.
    return killed


def main() -> None:
    """Run, kill, finish, count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--queries", type=int, default=950)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="llm-faults-"))
    project = make_project(folder / "project")
    project.kedro(
        "run",
        "--pipelines=synthesize,mine",
        f"--params=max_queries={options.queries},synthesis.queries_per_passage=2",
    )
    candidates = pd.read_parquet(project.newest("04_feature/candidates.parquet"))
    pairs = len(candidates.drop_duplicates(["query_id", "passage_id"]))
    share = 0.3 / len(PASSING + FINAL)
    plan = FaultPlan(
        shares=dict.fromkeys(PASSING + FINAL, share),
        latency=0.05,
        slow_share=0.01,
        slow=1.0,
        stall=2.0,
    )
    with FaultServer(plan, folder / "requests.jsonl") as server:
        killed = kill_at_random(project, server, options.kills, pairs, options.seed)
        began = time.monotonic()
        rc = label(project, server.url).wait()
        print(
            f"{pairs} pairs; killed after {killed} requests; last run: exit status {rc}, ", end=""
        )
        print(f"{time.monotonic() - began:.0f} s")
        again = server.asked_after_answer()
        met = {record["prompt"]: record["fault"] for record in server.records() if record["fault"]}
        requests = len(server.records())
    labels = pd.read_parquet(project.newest("05_model_input/labels.parquet"))
    failures = pd.read_parquet(project.newest("05_model_input/failures.parquet"))
    print(f"labels {len(labels)} + failures {len(failures)} = {len(labels) + len(failures)}")
    expected = Counter(REASONS[fault] for fault in met.values() if fault in REASONS)
    with sqlite3.connect(project.path / "data/05_model_input/label_ledger.sqlite") as ledger:
        found = Counter(dict(ledger.execute("SELECT status, count(*) FROM failures GROUP BY 1")))
    print(f"failures by reason: {dict(sorted(found.items()))}")
    print(f"faults that stay:   {dict(sorted(expected.items()))}")
    passing = Counter(fault for fault in met.values() if fault in PASSING)
    print(f"faults that passed: {dict(sorted(passing.items()))}")
    in_flight = options.kills * CONCURRENCY
    print(f"{requests} requests; asked again after a valid answer: {again.total()}, ", end="")
    print(f"at most {in_flight} were in flight at the kills")
    right = len(labels) + len(failures) == pairs and found == expected and not rc
    shutil.rmtree(folder)
    sys.exit(not (right and again.total() <= in_flight))


if __name__ == "__main__":
    main()
