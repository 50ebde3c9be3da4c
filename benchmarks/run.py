"""Runs the pipelines on real data and writes docs/results/NAME.md from what they measured.

    BENCHMARKS=/folder/of/the/sets python benchmarks/run.py [sample] [handbook] [trec-dl]

Every run happens in a project of its own under build/benchmarks/, so that your labels and your
champion stay as they are. The pages hold nothing but what agreement.json and cost.json say.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
WORK = ROOT / "build" / "benchmarks"
PAGES = ROOT / "docs" / "results"
BENCHMARKS = Path(os.environ.get("BENCHMARKS", "benchmarks/data")).resolve()

RECORDED = "train_set={sets}/{train},benchmark={sets}/{test},judge=umbrela-gpt-4o"
RUNS: dict[str, dict[str, Any]] = {
    "sample": {
        "title": "The bundled corpus",
        "data": "the bundled corpus and its authored judgments (not given by independent people)",
        "runs": [("", [])],
    },
    "handbook": {
        "title": "A real handbook",
        "data": "sourcegraph/handbook at 5752928 (Apache-2.0), 745 pages as BEIR's corpus.jsonl",
        "runs": [("", ["--params=documents={sets}/handbook/corpus.jsonl.gz"])],
    },
    "trec-dl": {
        "title": "GPT-4o's recorded grades, against NIST's assessors",
        "data": "TREC Deep Learning 2019 and 2020 passage judgments (NIST), MS MARCO texts, "
        "GPT-4o's published UMBRELA grades, in BEIR's layout",
        "runs": [
            (
                "Taught on DL 2019, tested on DL 2020",
                [
                    "--env=recorded",
                    "--params="
                    + RECORDED.replace("{train}", "trec-dl19").replace("{test}", "trec-dl20"),
                ],
            ),
            (
                "Taught on DL 2020, tested on DL 2019",
                [
                    "--env=recorded",
                    "--params="
                    + RECORDED.replace("{train}", "trec-dl20").replace("{test}", "trec-dl19"),
                ],
            ),
        ],
    },
}
METRICS = (
    "quadratic_kappa",
    "kappa",
    "binary_kappa",
    "accuracy",
    "bias",
    "pairwise_accuracy",
    "ndcg",
)


def run(name: str, number: int, arguments: list[str]) -> tuple[Path, float, float]:
    """Runs `kedro run ARGUMENTS` in a fresh project; its folder, seconds, peak gigabytes."""
    project = WORK / f"{name}-{number}"
    shutil.rmtree(project, ignore_errors=True)
    (project / "src").mkdir(parents=True)
    (project / "data" / "01_raw").mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", project)
    shutil.copytree(ROOT / "conf", project / "conf", ignore=shutil.ignore_patterns("local"))
    (project / "conf" / "local").mkdir()
    (project / "data" / "01_raw" / "sample").symlink_to(ROOT / "data" / "01_raw" / "sample")
    kedro = str(Path(sys.executable).with_name("kedro"))
    started = time.monotonic()
    subprocess.run(
        [kedro, "run", *(text.replace("{sets}", str(BENCHMARKS)) for text in arguments)],
        cwd=project,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    seconds = time.monotonic() - started
    return project, seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6


def page(name: str) -> str:
    """Runs everything of one page and writes it."""
    plan = RUNS[name]
    parts = [
        f"# {plan['title']}\n",
        f"Data: {plan['data']}. Machine: {machine()}. Date: {datetime.date.today()}. "
        f"Written by `python benchmarks/run.py {name}`.\n",
    ]
    for number, (heading, arguments) in enumerate(plan["runs"]):
        project, seconds, gigabytes = run(name, number, arguments)
        if heading:
            parts.append(f"## {heading}\n")
        command = " ".join(["kedro run", *(quoted(text) for text in arguments)])
        parts.append(f"```\n{command.replace('{sets}', '$BENCHMARKS')}\n```\n")
        parts.append(
            f"Wall time {seconds / 60:.1f} minutes, peak memory {gigabytes:.1f} GB "
            "(of the largest process so far).\n"
        )
        parts.append(section(project))
    if (PAGES / f"{name}.notes").is_file():
        parts.append((PAGES / f"{name}.notes").read_text(encoding="utf-8"))
    text = "\n".join(parts)
    (PAGES / f"{name}.md").write_text(text, encoding="utf-8")
    return text


def section(project: Path) -> str:
    """The tables of one run."""
    agreement, cost = newest(project, "agreement.json"), newest(project, "cost.json")
    benchmark = agreement["benchmark"]
    who = "people's grades" if benchmark["human"] else "grades that people did not give"
    lines = [
        f"Benchmark `{benchmark['name']}`: {benchmark['pairs']} pairs of {benchmark['queries']} "
        f"queries, {who}. 95 % intervals resample queries.\n",
        "| judge | " + " | ".join(METRICS) + " |",
        "|---" * (len(METRICS) + 1) + "|",
    ]
    for judge, values in agreement["judges"].items():
        lines.append(f"| {judge} | " + " | ".join(shown(values.get(key)) for key in METRICS) + " |")
    for key in ("student_minus_teacher", "student_minus_base"):
        values = agreement.get(key) or {}
        if values:
            cells = " | ".join(shown(values.get(metric)) for metric in METRICS)
            lines.append(f"| {key.replace('_', ' ')} | {cells} |")
    lines.append("")
    for judge, values in cost["judges"].items():
        speed, price = values.get("pairs_per_second"), values.get("usd_per_1000_labels")
        lines.append(
            f"- {judge}: {'speed not known' if speed is None else f'{speed:.1f} pairs/s'} "
            f"({values.get('speed_basis')}), "
            f"{'price not known' if price is None else f'${price:.5f} per 1,000 labels'} "
            f"({values.get('usd_basis')})"
        )
    lines += [f"- {note}" for note in agreement.get("notes", [])]
    return "\n".join(lines) + "\n"


def shown(value: dict[str, float] | None) -> str:
    """`.581 (.552–.609)`, or a dash."""
    if not value or value.get("estimate") is None:
        return "–"
    text = f"{value['estimate']:.3f}"
    if value.get("low") is not None and value.get("high") is not None:
        text += f" ({value['low']:.3f}–{value['high']:.3f})"
    return text


def newest(project: Path, name: str) -> dict[str, Any]:
    """The newest version of a report, of whichever environment."""
    found = sorted((project / "data" / "08_reporting").rglob(f"{name}/*/{name}"))
    content: dict[str, Any] = json.loads(found[-1].read_text(encoding="utf-8"))
    return content


def machine() -> str:
    """Processor, cores, memory."""
    names = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, {memory:.0f} GB"


def quoted(text: str) -> str:
    """An argument as it is typed."""
    head, _, tail = text.partition("=")
    return f'{head}="{tail}"' if "," in tail or ";" in tail else text


if __name__ == "__main__":
    asked = sys.argv[1:] or list(RUNS)
    unknown = [name for name in asked if name not in RUNS]
    if unknown:
        sys.exit(f"no benchmark {', '.join(unknown)}; there are: {', '.join(RUNS)}")
    if set(asked) - {"sample"} and not BENCHMARKS.is_dir():
        sys.exit(f"{BENCHMARKS} is not there; set BENCHMARKS to the folder of the sets")
    for each in asked:
        print(page(each))
