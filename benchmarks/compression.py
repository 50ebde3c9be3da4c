"""What each rung of a compressed query tower keeps and saves, and which ingredient gives it.

    BENCHMARKS=/folder/of/the/sets python benchmarks/compression.py
    BENCHMARKS=/folder/of/the/sets python benchmarks/compression.py --parts ladder --sets trec-dl20

Writes docs/results/compression.md and .json. The reference is the bundled encoder, untrained, its
six layers in fp32. One ladder is aligned on strings of the collections that are searched: three
that people graded, and a handbook, where only what is found in common with the reference can be
measured. Parts: `ladder`, all rungs and their int8 exports, with latency; `losses`; `unseen`,
aligned on strings of other collections alone; `growth`, with the number of strings. No graded query
is ever aligned on. What is finished is kept: a killed run goes on behind it.
"""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import pandas as pd
from pages import BENCHMARKS, PAGES, ROOT, cell, machine, table, write

from relevance_distillery.collections.benchmark import Benchmark, load_benchmark
from relevance_distillery.documents.source import DocumentSource
from relevance_distillery.evaluation.agreement.estimates import Options
from relevance_distillery.evaluation.retrieval import (
    IN_COMMON,
    PRIMARY,
    REFERENCE,
    measure_rankings,
)
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.pipelines.synthesis.parameters import SynthesisParameters
from relevance_distillery.query_encoders.export import export_ladder
from relevance_distillery.query_encoders.ladder import train_ladder
from relevance_distillery.query_encoders.latency import measure_latency
from relevance_distillery.query_encoders.measuring import rank_rungs
from relevance_distillery.query_encoders.reference import index_of, write_reference
from relevance_distillery.query_encoders.refinement import Graded
from relevance_distillery.query_encoders.settings import LadderSettings, Loss, StringSettings
from relevance_distillery.query_encoders.unlabelled_queries import unlabelled_strings
from relevance_distillery.retriever.buckets import NEGATIVES, POSITIVES
from relevance_distillery.retriever.encoder import Retriever
from relevance_distillery.retriever.query_encoder import QueryEncoder
from relevance_distillery.retriever.training_data import training_texts
from relevance_distillery.synthesizers.base import choose_seeds
from relevance_distillery.synthesizers.extractive import ExtractiveSynthesizer

WORK = ROOT / "build" / "benchmarks" / "compression"
TESTED, HANDBOOK = ("trec-dl20", "chorus", "feedbackqa"), "handbook"
SEARCHED = (*TESTED, HANDBOOK)
OTHERS = ("trec-dl19", "trec-dl23-dev", "antique")
"""Collections whose queries and grades teach refinement, and whose queries are aligned on."""
RUNGS = (
    "aligned", "aligned_refined", "pruned", "pruned_refined", "one_shot", "refined_only", "static",
    "static_refined",
)  # fmt: skip
CONTROLS = ("one_shot_int8", "refined_only_int8")
LOSSES: tuple[Loss, ...] = ("l2", "cosine", "kl", "kernel")
SIZES = (1000, 3000, 10_000, 30_000, 100_000)
_TITLES = {PRIMARY: PRIMARY, "P@10": "P@10", IN_COMMON: "first ten"}
SECONDS = "seconds"


@cache
def passages_of(name: str) -> pd.DataFrame:
    """A collection's documents, each a passage; those of the handbook are split."""
    given = {"passages": {"split": name == HANDBOOK}, "seed": 0}
    synthesis = SynthesisParameters.model_validate(given)
    if name != HANDBOOK:
        documents = benchmark(name).documents
    else:
        source = DocumentSource.parse(str(BENCHMARKS / name))
        documents = source.read(**synthesis.reading.model_dump(), limit=None, seed=0).documents
    return synthesis.split(documents)


@cache
def benchmark(name: str) -> Benchmark:
    """A graded collection."""
    return load_benchmark(BENCHMARKS / name, DEFAULT_SCALE)


@cache
def handbook_queries() -> pd.DataFrame:
    """Two hundred queries made of the handbook's words: it has no real ones."""
    passages = passages_of(HANDBOOK)
    seeds = choose_seeds(passages, 250, 0)
    return ExtractiveSynthesizer().write(passages, seeds, 1, 0).head(200)


def strings_of(names: Sequence[str], most: int) -> list[str]:
    """As many strings of each collection, in turns, without any query that is measured with."""
    held_out = [*handbook_queries()["text"]]
    for name in TESTED:
        held_out += benchmark(name).query_texts()
    asked = [text for name in OTHERS for text in benchmark(name).query_texts()]
    settings = StringSettings(most=most // len(names))
    parts = [unlabelled_strings(asked, passages_of(name), settings, held_out) for name in names]
    turns = chain.from_iterable(zip_longest(*parts))
    return list(dict.fromkeys(text for text in turns if text is not None))


@cache
def graded(reference: Retriever) -> Graded:
    """What refinement learns from: pairs that people graded, of no collection that is measured."""
    passages = pd.concat([passages_of(name) for name in OTHERS]).drop_duplicates("passage_id")
    queries = pd.concat([benchmark(name).queries for name in OTHERS])
    grades = pd.concat([benchmark(name).judgments for name in OTHERS])
    pairs = grades.rename(columns={"document_id": "passage_id"})
    pairs["passage_id"] = pairs["passage_id"].map(
        passages.drop_duplicates("document_id").set_index("document_id")["passage_id"]
    )
    pairs = pairs.dropna(subset="passage_id")
    relevant = pairs["grade"] >= DEFAULT_SCALE.relevant_from
    bucket = relevant.map({True: POSITIVES[0], False: NEGATIVES[0]})
    texts = training_texts(pairs.assign(bucket=bucket), queries, passages, DEFAULT_SCALE)
    return Graded(texts, index_of(reference, passages, WORK / "index" / "refinement"))


def kept(
    encoders: Mapping[str, QueryEncoder], reference: Retriever, names: Iterable[str]
) -> dict[str, Any]:
    """By collection what `measure_rankings` says of encoders, the reference among them."""
    found = {}
    for name in names:
        passages = passages_of(name)
        index = index_of(reference, passages, WORK / "index" / name)
        queries = handbook_queries() if name == HANDBOOK else benchmark(name).queries
        rankings = rank_rungs(encoders, index, passages, queries, 1000)
        if name == HANDBOOK:  # nobody graded it: only what is in common can be measured
            top = rankings[REFERENCE]
            grades = top[top["rank"] <= 10].drop(columns="rank").assign(grade=3)
        else:
            grades = benchmark(name).judgments[["query_id", "document_id", "grade"]]
        found[name] = measure_rankings(
            rankings, grades, DEFAULT_SCALE, {"name": name}, Options(), reference=REFERENCE
        )
        if name == HANDBOOK:
            rows = found[name]["recovered"]
            found[name]["recovered"] = {
                one: {IN_COMMON: row[IN_COMMON]} for one, row in rows.items()
            }
    return found


def ladder(reference: Retriever, strings: list[str], work: Path, **changes: Any) -> dict[str, Any]:
    """Rungs as encoders, the reference among them, and the seconds that each took."""
    encoders = {REFERENCE: QueryEncoder.load(write_reference(reference, WORK / REFERENCE))}
    seconds: dict[str, float] = {}
    folders: dict[str, Path] = {}
    settings = LadderSettings.model_validate(changes)
    for rung in settings.rungs:
        started = time.monotonic()
        own = settings.model_copy(update={"rungs": (rung,)})
        some = graded(reference) if rung.endswith(("_refined", "refined_only")) else None
        folders |= train_ladder(reference, strings, own, work, some, WORK / "vectors")
        seconds[rung] = round(time.monotonic() - started, 1)
        encoders[rung] = QueryEncoder.load(folders[rung])
    return {"encoders": encoders, "folders": folders, SECONDS: seconds}


def main_ladder(reference: Retriever, options: argparse.Namespace) -> dict[str, Any]:
    """All rungs, in int8 too, with latency beside the reference and its int8 export."""
    strings = strings_of(SEARCHED, options.strings)
    made = ladder(reference, strings, WORK / "ladder", rungs=options.rungs)
    encoders = made["encoders"]
    exports = export_ladder({REFERENCE: WORK / REFERENCE, **made["folders"]}, WORK / "int8")
    encoders |= {name: QueryEncoder.load(folder) for name, folder in exports.items()}
    queries = benchmark(TESTED[0]).query_texts() + benchmark("feedbackqa").query_texts()
    return {
        "strings": len(strings),
        "sets": kept(encoders, reference, options.sets),
        "latency": measure_latency(encoders, queries[:200]),
        "facts": {name: one.facts.get("training") for name, one in encoders.items()},
    }


def compared(
    reference: Retriever,
    options: argparse.Namespace,
    strings: list[str],
    name: str,
    **changes: Any,
) -> dict[str, Any]:
    """One or two rungs under other settings, on the collections."""
    made = ladder(reference, strings, WORK / name, **changes)
    sets = kept(made["encoders"], reference, options.sets)
    return {
        "strings": len(strings),
        "sets": {one: {"recovered": facts["recovered"]} for one, facts in sets.items()},
        SECONDS: made[SECONDS],
    }


def losses(reference: Retriever, options: argparse.Namespace) -> dict[str, Any]:
    """Each loss, for the table and for half of the layers, in one pass over few strings."""
    strings = strings_of(SEARCHED, options.few)
    found = {}
    for loss in LOSSES:
        how = LadderSettings()
        found[loss] = compared(
            reference, options, strings, f"loss_{loss}", rungs=("aligned", "static"),
            alignment=how.alignment.model_copy(update={"loss": loss, "epochs": 1.0}).model_dump(),
            static=how.static.model_copy(update={"loss": loss}).model_dump(),
        )  # fmt: skip
    return found


def unseen(reference: Retriever, options: argparse.Namespace) -> dict[str, Any]:
    """As the losses' cosine, with and without strings of the documents that are searched."""
    found = {}
    one = LadderSettings().alignment.model_copy(update={"epochs": 1.0}).model_dump()
    for name, sets in {"with": SEARCHED, "without": OTHERS}.items():
        strings = strings_of(sets, options.few)
        found[name] = compared(
            reference, options, strings, f"unseen_{name}", rungs=("aligned", "static"),
            alignment=one,
        )  # fmt: skip
    return found


def growth(reference: Retriever, options: argparse.Namespace) -> dict[str, Any]:
    """The table, aligned on the first of the strings; as many passes over each number."""
    every = strings_of(SEARCHED, max(SIZES))
    sizes = [size for size in SIZES if size <= options.largest]
    return {
        str(size): compared(reference, options, every[:size], f"growth_{size}", rungs=("static",))
        for size in sizes
    }


PARTS = {"ladder": main_ladder, "losses": losses, "unseen": unseen, "growth": growth}


def page(found: dict[str, Any], commands: Mapping[str, str]) -> list[str]:
    """The page's parts."""
    parts = [
        "# What a compressed query tower keeps",
        f"On {machine()}, {datetime.date.today():%d %B %Y}. The reference is the bundled encoder, "
        "six layers, fp32. Shares of the reference with paired 95 % intervals over queries; "
        "grades are people's, unjudged documents count as irrelevant. *First ten*: the share "
        "of the reference's that is found, all that a handbook without grades can tell.",
    ]
    titles = {
        "ladder": "The ladder", "losses": "Losses",
        "unseen": "With and without the searched documents", "growth": "Number of strings",
    }  # fmt: skip
    for name, title in titles.items():
        if name not in found:
            continue
        parts += [f"## {title}", f"`{commands[name]}`"]
        if name == "ladder":
            parts += _ladder_tables(found[name])
        else:
            parts.append(_comparison(found[name]))
    return parts


def _ladder_tables(found: dict[str, Any]) -> list[str]:
    # What controls tell, they tell in fp32.
    speed = {rung: row for rung, row in found["latency"].items() if rung not in CONTROLS}
    own = speed.get(f"{REFERENCE}_int8", {})
    header = ["rung", "median ms", "p95", "p99", "queries/s", "× faster", "× than int8"]
    rows = [
        [
            f"`{rung}`", *(f"{row[one]:.3g}" for one in ("median_ms", "p95_ms", "p99_ms")),
            f"{row['queries_per_second']:,.0f}", f"{row['speedup']:.3g}",
            f"{own['median_ms'] / row['median_ms']:.3g}" if own else "–",
        ]
        for rung, row in speed.items()
    ]  # fmt: skip
    parts = [f"Aligned on {found['strings']:,} strings.", table(header, rows)]
    sets = {name: facts["recovered"] for name, facts in found["sets"].items()}
    graded_sets = [name for name in sets if name != HANDBOOK]
    rungs = [rung for rung in speed if rung != REFERENCE]
    kept_rows = [
        [f"`{rung}`", *(cell(sets[name][rung][PRIMARY]) for name in graded_sets)] for rung in rungs
    ]
    others = [(name, one) for one in ("P@10", IN_COMMON) for name in sets]
    others = [(name, one) for name, one in others if one in sets[name][rungs[0]]]
    other_rows = [
        [f"`{rung}`", *(_estimate(sets[name][rung][one]) for name, one in others)] for rung in rungs
    ]
    parts += [f"Kept of the reference's {PRIMARY}:", table(["rung", *graded_sets], kept_rows)]
    titles = [f"{name}, {_TITLES[one]}" for name, one in others]
    parts += ["Kept of others:", table(["rung", *titles], other_rows)]
    return parts


def _comparison(found: dict[str, Any]) -> str:
    """Shares of nDCG@10 and of the first ten, by setting, rung and collection."""
    sets = list(next(iter(found.values()))["sets"])
    columns = [(name, one) for one in (PRIMARY, IN_COMMON) for name in sets]
    columns = [couple for couple in columns if couple != (HANDBOOK, PRIMARY)]
    header = ["", "strings", "rung", "s", *(f"{name}, {_TITLES[one]}" for name, one in columns)]
    rows = [
        [
            setting, f"{facts['strings']:,}", f"`{rung}`", f"{spent:,.0f}",
            *(_estimate(facts["sets"][name]["recovered"][rung][one]) for name, one in columns),
        ]
        for setting, facts in found.items() for rung, spent in facts[SECONDS].items()
    ]  # fmt: skip
    return table(header, rows)


def _estimate(row: dict[str, Any]) -> str:
    return f"{row['estimate']:.3f}"


def main() -> None:
    """Make, measure, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--sets", nargs="+", choices=(*TESTED, HANDBOOK), default=None)
    parser.add_argument("--rungs", nargs="+", choices=RUNGS, default=RUNGS)
    parser.add_argument("--strings", type=int, default=120_000, help="of the ladder")
    parser.add_argument("--few", type=int, default=20_000, help="of the comparisons")
    parser.add_argument("--largest", type=int, default=max(SIZES), help="number of strings")
    options = parser.parse_args()
    options.sets = options.sets or [*TESTED, HANDBOOK]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    WORK.mkdir(parents=True, exist_ok=True)
    reference = Retriever.untrained("bundled", 128)
    command = f"BENCHMARKS=… python benchmarks/compression.py --sets {' '.join(options.sets)}"
    for name in options.parts:
        more = {
            "ladder": f" --strings {options.strings} --rungs {' '.join(options.rungs)}",
            "growth": f" --largest {options.largest}",
        }.get(name, f" --few {options.few}")  # fmt: skip
        facts = {
            "command": f"{command} --parts {name}{more}",
            **{"found": PARTS[name](reference, options)},
        }
        (WORK / f"{name}.json").write_text(json.dumps(facts))
    done = {name: WORK / f"{name}.json" for name in PARTS if (WORK / f"{name}.json").is_file()}
    told = {name: json.loads(file.read_text()) for name, file in done.items()}
    found = {name: one["found"] for name, one in told.items()}
    write(
        PAGES / "compression.md", page(found, {name: one["command"] for name, one in told.items()})
    )
    (PAGES / "compression.json").write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
