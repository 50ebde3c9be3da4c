"""Runs the pipelines on real data and writes docs/results/NAME.md from what they measured.

    BENCHMARKS=/folder/of/the/sets python benchmarks/run.py [sample] [handbook] [trec-dl] ...
    BENCHMARKS=/folder/of/the/sets python benchmarks/run.py --again trec-dl   # pages only

Every run happens in a project of its own under build/benchmarks/, so that your labels and your
champion stay as they are; `--again` writes the pages from the runs that are there. The pages hold
nothing but what agreement.json and cost.json say, and a page's .notes; the full report of a run
is its report.html, whose place is printed.
"""

from __future__ import annotations

import datetime
import json
import resource
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
from halves import deal
from pages import BENCHMARKS, PAGES, ROOT, answer, machine, one_scale, short_report, write
from paper import Run, paper_page
from projects import kedro_run, newest, newest_json, prepare

WORK = ROOT / "build" / "benchmarks"
HALVES = WORK / "halves"

TEACHER = "umbrela-gpt-4o"
JUDGES = (
    "umbrela-gpt-4o",
    "umbrela-gpt-4",
    "sumdecomposed-llama3-8b",
    "fourprompts-llama70b",
    "fourprompts-llama3-8b",
    "umbrela-llama3.2",
)


def recorded(train: str, test: str) -> list[str]:
    """Learn from GPT-4o's grades of one collection, test on another."""
    params = f"train_set={{sets}}/{train},benchmark={{sets}}/{test},judge={TEACHER}"
    return ["--env=recorded", f"--params={params}"]


def side_by_side(test: str) -> list[str]:
    """All recorded judges of a collection, no student."""
    files = ";".join(f"{{sets}}/{test}/judges/{name}.tsv" for name in JUDGES)
    return ["--pipeline=report", f"--params=benchmark={{sets}}/{test},grades={files}"]


def of_own_documents(name: str) -> dict[str, Any]:
    """Learn from the documents of a set that people graded, or from half of people's grades."""
    return {
        "halves": name,
        "brief": True,
        "runs": [
            (
                "Taught by the embedded judge on synthetic queries, all graded queries",
                [f"--params=documents={{sets}}/{name},human_judgments={{sets}}/{name}"],
            ),
            (
                "The same, tested on half of the graded queries",
                [f"--params=documents={{sets}}/{name},human_judgments={{halves}}/{name}/test"],
            ),
            (
                "Taught by people's grades of the other half",
                [
                    "--env=recorded",
                    f"--params=train_set={{halves}}/{name}/learn,benchmark={{halves}}/{name}/test,"
                    "judge=human",
                ],
            ),
        ],
    }


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
            ("Taught on DL 2019, tested on DL 2020", recorded("trec-dl19", "trec-dl20")),
            ("Taught on DL 2020, tested on DL 2019", recorded("trec-dl20", "trec-dl19")),
        ],
        "names": {"teacher": f"teacher ({TEACHER})"},
    },
    "chorus": {
        "title": "An electronics shop with three raters",
        "data": "querqy/chorus (Apache-2.0): 1,339 products, 62 queries, 1,605 pairs graded by "
        "three people each; product data Icecat open content. The halves hold half of the graded "
        "queries each",
        **of_own_documents("chorus"),
    },
    "feedbackqa": {
        "title": "Questions to public bodies, with two raters",
        "data": "McGill-NLP/feedbackqa (Apache-2.0): 1,274 passages of public bodies' guidance, "
        "646 questions, 1,937 pairs graded by two people each. The halves hold half of the "
        "questions each",
        **of_own_documents("feedbackqa"),
    },
    "judges": {
        "title": "Six language models as judges",
        "priced": False,
        "data": "TREC Deep Learning 2019 and 2020 passage judgments (NIST) and the published "
        "grades of six judges for the same pairs (Arabzadeh and Clarke; Farzi and Dietz)",
        "runs": [
            ("DL 2019", side_by_side("trec-dl19")),
            ("DL 2020", side_by_side("trec-dl20")),
        ],
    },
}
PAPER = "paper"
"""Written from the runs of trec-dl, which are made when they are not there."""


def run(name: str, number: int, arguments: list[str]) -> None:
    """Runs `kedro run ARGUMENTS` in a fresh project and notes seconds and peak gigabytes."""
    project = folder(name, number)
    shutil.rmtree(project, ignore_errors=True)
    prepare(project)
    if "halves" in RUNS[name]:
        deal(BENCHMARKS / RUNS[name]["halves"], HALVES / RUNS[name]["halves"])
    places = {"{sets}": str(BENCHMARKS), "{halves}": str(HALVES)}
    for mark, place in places.items():
        arguments = [text.replace(mark, place) for text in arguments]
    started = time.monotonic()
    kedro_run(project, arguments)
    facts = {
        "seconds": time.monotonic() - started,
        "gigabytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6,
        "machine": machine(),
        "date": str(datetime.date.today()),
    }
    (project / "run.json").write_text(json.dumps(facts), encoding="utf-8")


def folder(name: str, number: int) -> Path:
    """The project of one run."""
    return WORK / f"{name}-{number}"


def facts_of(name: str, number: int, arguments: list[str], again: bool) -> dict[str, Any]:
    """Seconds, memory, machine and date of a run, which is made first unless it is there."""
    noted = folder(name, number) / "run.json"
    if not (again and noted.is_file()):
        run(name, number, arguments)
    content: dict[str, Any] = json.loads(noted.read_text(encoding="utf-8"))
    return content


def page(name: str, again: bool) -> str:
    """Makes everything of one page and writes it."""
    plan = RUNS[name]
    parts: list[str] = []
    for number, (heading, arguments) in enumerate(plan["runs"]):
        facts = facts_of(name, number, arguments, again)
        if not parts:
            parts += [f"# {plan['title']}\n", origin(plan["data"], facts, name)]
        if heading:
            parts.append(f"## {heading}\n")
        parts.append(
            f"```\n{command(arguments)}\n```\n\n"
            f"Wall time {facts['seconds'] / 60:.1f} minutes, peak memory "
            f"{facts['gigabytes']:.1f} GB (of the largest process so far).\n"
        )
        project = folder(name, number)
        agreement, cost = (newest_json(project, one) for one in ("agreement.json", "cost.json"))
        if plan.get("brief"):
            called = plan.get("names", {})
            parts += [answer(agreement, called), one_scale(agreement, called)]
        else:
            shown = cost if plan.get("priced", True) else None
            parts.append(short_report(agreement, shown, plan.get("names"), 3 if heading else 2))
        print(f"full report: {newest(project, 'report.html')}", file=sys.stderr)
    return write(PAGES / f"{name}.md", parts)


def page_of_the_paper(again: bool) -> str:
    """Writes the page of the paper from the runs of trec-dl."""
    plan, runs, facts = RUNS["trec-dl"], [], {}
    for number, (heading, arguments) in enumerate(plan["runs"]):
        facts = facts_of("trec-dl", number, arguments, again)
        project = folder("trec-dl", number)
        runs.append(
            Run(
                heading,
                TEACHER,
                newest_json(project, "agreement.json"),
                newest_json(project, "cost.json"),
                pd.read_parquet(newest(project, "benchmark_pairs.parquet")),
            )
        )
    commands = "\n".join(command(arguments) for _, arguments in plan["runs"])
    parts = ["# The paper's measures and ours\n"]
    parts += [origin(plan["data"], facts, PAPER), f"```\n{commands}\n```\n", paper_page(runs)]
    parts.append("Every other figure of these runs: [TREC Deep Learning](trec-dl.md).\n")
    return write(PAGES / f"{PAPER}.md", parts)


def origin(data: str, facts: dict[str, Any], name: str) -> str:
    """Where the figures come from."""
    return (
        f"Data: {data}. Machine: {facts['machine']}. Date: {facts['date']}. "
        f"Written by `python benchmarks/run.py {name}`.\n"
    )


def command(arguments: list[str]) -> str:
    """A run as it is typed."""
    text = " ".join(["kedro run", *map(quoted, arguments)])
    return text.replace("{sets}", "$BENCHMARKS").replace("{halves}", HALVES.name)


def quoted(text: str) -> str:
    """An argument as it is typed."""
    head, _, tail = text.partition("=")
    return f'{head}="{tail}"' if "," in tail or ";" in tail else text


def main(arguments: list[str]) -> None:
    """Writes the pages that were asked for; all of them without arguments."""
    again = "--again" in arguments
    every = [*RUNS, PAPER]
    asked = [name for name in arguments if name != "--again"] or every
    unknown = [name for name in asked if name not in every]
    if unknown:
        sys.exit(f"no benchmark {', '.join(unknown)}; there are: {', '.join(every)}")
    if set(asked) - {"sample"} and not BENCHMARKS.is_dir():
        sys.exit(f"{BENCHMARKS} is not there; set BENCHMARKS to the folder of the sets")
    for each in asked:
        if each == PAPER:
            print(page_of_the_paper(again or "trec-dl" in asked))
        else:
            print(page(each, again))


if __name__ == "__main__":
    main(sys.argv[1:])
