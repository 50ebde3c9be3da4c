"""Latency of `mlflow models serve` under load, with and without grading together what waits.

Two servers of the same labeler run side by side and are asked in turns, so that a busy minute hits
both; the one that is not asked rests. A client sends its next request when it has the last answer.

    BENCHMARKS=/folder/of/the/sets python benchmarks/serving.py --labeler FOLDER
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from graded_sets import read_set
from pages import BENCHMARKS, PAGES, ROOT, machine, table

from relevance_distillery.labeler import flavor
from relevance_distillery.labeler.artifact import ARTIFACT_NAME
from relevance_distillery.labeler.inference import Labeler

PAGE, FIGURES = PAGES / "serving.md", PAGES / "serving.json"
SET, PAIRS, CLIENTS, PERCENTILES = "trec-dl20", 10, (1, 4, 16), (50, 95, 99)
TOGETHER, APART = "together", "apart"
UNBATCHED = """
from mlflow.models import set_model
from relevance_distillery.labeler.flavor import ServedLabeler

class Apart(ServedLabeler):
    def predict(self, context, model_input, params=None):
        return self.labeler.grade(model_input)

set_model(Apart())
"""


def bodies() -> list[pd.DataFrame]:
    """Requests: a query and ten of its judged passages each, columns query and text."""
    pairs = read_set(BENCHMARKS / SET, None).texts().sample(frac=1, random_state=0)
    groups = [group[["query", "text"]] for _, group in pairs.groupby("query_id")]
    return [group.iloc[n : n + PAIRS] for n in range(0, 60, PAIRS) for group in groups]


def models(labeler: Path, workspace: Path) -> dict[str, str]:
    """Folders of the labeler as it is served, and of the same without micro-batching."""
    script = workspace / "apart.py"
    script.write_text(UNBATCHED, encoding="utf-8")
    parts = {"artifacts": {ARTIFACT_NAME: str(labeler)}, "pip_requirements": []}
    folders = {way: str(workspace / way) for way in (TOGETHER, APART)}
    for way, code in {TOGETHER: flavor.__file__, APART: str(script)}.items():
        mlflow.pyfunc.save_model(folders[way], python_model=code, **parts)
    return folders


@contextlib.contextmanager
def served(model: str) -> Iterator[int]:
    """The port of a server of the model; it ends with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    scripts = Path(sys.executable).parent
    paths = {"PATH": f"{scripts}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "src")}
    command = f"{scripts}/mlflow models serve -m {model} --env-manager local --port {port}"
    server = subprocess.Popen(
        command.split(),
        env={**os.environ, **paths},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while True:
            if server.poll() is not None:
                raise SystemExit(f"{command}: ended before it answered")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.2)
        yield port
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def load(port: int, requests: Sequence[bytes], clients: int) -> tuple[list[float], list[Any]]:
    """Seconds of each request and its graded rows."""

    def client(first: int) -> list[tuple[float, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        found = []
        for body in requests[first::clients]:
            sent = time.perf_counter()
            connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
            content = connection.getresponse().read()
            found.append((time.perf_counter() - sent, json.loads(content)["predictions"]))
        return found

    with ThreadPoolExecutor(clients) as pool:
        shares = list(pool.map(client, range(clients)))
    in_order = [shares[n % clients][n // clients] for n in range(len(requests))]
    return [seconds for seconds, _ in in_order], [rows for _, rows in in_order]


def measure(labeler: Path, rounds: int, requests: int) -> dict[str, Any]:
    """Rounds at each number of clients; every answer is compared with `Labeler.grade` alone."""
    asked = bodies()[:requests]
    sent = [json.dumps({"dataframe_records": one.to_dict("records")}).encode() for one in asked]
    direct = Labeler.load(labeler)
    alone = pd.concat([direct.grade(one) for one in asked], ignore_index=True)
    found: dict[str, Any] = {"rows": [], "pairs": 0, "other_grades": 0, "farthest": 0.0}
    found["leaves_early"] = direct.facts.early_exit is not None
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as servers:
        ways = models(labeler, Path(name))
        ports = {way: servers.enter_context(served(model)) for way, model in ways.items()}
        for port in ports.values():
            load(port, sent[: max(CLIENTS)], 4)
        for clients in CLIENTS:
            seconds: dict[str, list[float]] = {way: [] for way in ways}
            latencies: dict[str, list[float]] = {way: [] for way in ways}
            for number in range(rounds):
                for way in (list(ways), list(ways)[::-1])[number % 2]:
                    started = time.perf_counter()
                    each, answers = load(ports[way], sent, clients)
                    seconds[way].append(round(time.perf_counter() - started, 3))
                    latencies[way] += each
                    print(f"{clients} clients, {way}: {seconds[way][-1]} s", flush=True)
                    got = pd.DataFrame([row for answer in answers for row in answer])
                    apart = (got["expected_grade"] - alone["expected_grade"]).abs().max()
                    found["pairs"] += len(got)
                    found["other_grades"] += int((got["grade"] != alone["grade"]).sum())
                    found["farthest"] = max(found["farthest"], float(apart))
            for way in ways:
                speed = PAIRS * requests / float(np.median(seconds[way]))
                row = {"clients": clients, "graded": way, "pairs_per_second": speed}
                at = {f"p{p}": float(np.percentile(latencies[way], p)) for p in PERCENTILES}
                found["rows"].append({**row, **at, "seconds": seconds[way]})
    return found


def as_page(found: dict[str, Any]) -> str:
    """The page, from what `measure` found and how it was called."""
    by = {(row["clients"], row["graded"]): row for row in found["rows"]}
    measures = {"pairs/s": ("pairs_per_second", 1)}
    measures |= {f"p{p}, ms": (f"p{p}", 1000) for p in PERCENTILES}
    rows = []
    for clients in CLIENTS:
        sides = by[clients, TOGETHER], by[clients, APART]
        cells = ((side[key] * unit for side in sides) for key, unit in measures.values())
        rows.append([str(clients), *("{:.0f} ({:.0f})".format(*both) for both in cells)])
    header = ("clients", *measures)
    return f"""# Serving under load

Machine: {found["machine"]}. Date: {found["date"]}.

```
{found["command"]}
```

Requests of {PAIRS} pairs, a query of `{SET}` and passages judged for it, to
[`mlflow models serve`](../how-to/serve.md). In parentheses: each request graded apart, by a second
server; they take turns, {found["rounds"]} rounds of {found["requests"]} requests. The labeler reads
{"clear pairs in part" if found["leaves_early"] else "every pair to the end"}. Latency of a request;
median pairs/s.

{table(header, rows)}
{found["other_grades"]} of {found["pairs"]:,} grades differed from those of `Labeler.grade`,
expected grades by at most {found["farthest"]:.4f}.
"""


def main() -> None:
    """Measures, and writes the page and its figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--labeler", type=Path, required=True, help="a labeler's folder")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=64, help="of a round; at most 324")
    asked = parser.parse_args()
    called = f"--rounds {asked.rounds} --requests {asked.requests}"
    found = {
        "machine": machine(),
        "date": datetime.date.today().isoformat(),
        "command": f"BENCHMARKS=… python benchmarks/serving.py {called} --labeler …",
        "rounds": asked.rounds,
        "requests": asked.requests,
        **measure(asked.labeler, asked.rounds, asked.requests),
    }
    PAGE.write_text(as_page(found), encoding="utf-8")
    FIGURES.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
