r"""How fast labeling, training and mining are beside other tools, and beside the machine's limit.

Every figure is a ratio of runs that alternate, so that a busy minute hits both sides. The tools
beside ours run in processes of their own (`cross_encoder_process.py`), warmed up.

    BENCHMARKS=/folder/of/the/sets python benchmarks/performance.py [--labeler FOLDER]
    python benchmarks/performance.py --only mining machine      # these; the rest as last measured
    python benchmarks/performance.py --pairs 200 --rounds 1 --dry               # a quick look

What is compared and not in requirements.lock is left out, and the page says so, unless
`--extras FOLDER` has it. Each backend is a folder there, since each wants a transformers of its
own; `--no-deps`, or torch comes along:

    pip install --no-deps --target FOLDER/train datasets==5.2.0 dill==0.4.1 multiprocess==0.70.19 \
        xxhash==4.1.0
    pip install --no-deps --target FOLDER/openvino sentence-transformers==6.2.0 \
        transformers==5.5.4 tokenizers==0.22.2 huggingface_hub==1.21.0 httpx==0.28.1 \
        httpcore==1.0.9 optimum==2.3.0 optimum-intel==2.2.0 nncf==3.4.0 openvino==2026.4.1 \
        openvino-tokenizers==2026.4.1.0 openvino-telemetry==2025.2.0 typer==0.25.1 \
        ninja==1.13.2 pydot==4.0.1 tabulate==0.10.0 datasets==4.8.5 dill==0.4.1 \
        multiprocess==0.70.19 xxhash==4.1.0
    pip install --no-deps --target FOLDER/onnx sentence-transformers==5.7.0 transformers==4.57.6 \
        tokenizers==0.22.2 huggingface_hub==0.36.2 optimum==2.1.0 optimum-onnx==0.1.0 \
        onnx==1.23.2 onnxruntime==1.32.0 ml_dtypes==0.6.0 flatbuffers==25.12.19
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import functools
import inspect
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
from cross_encoder_process import CALIBRATION, PLAIN, TRAINING, WAYS
from graded_sets import folds_of, read_set
from pages import BENCHMARKS, PAGES, ROOT, machine
from performance_page import BEFORE, BM25S, OURS, OURS_FP32, OURS_INT8, Found, as_page

from relevance_distillery.channels.bm25 import BM25Channel
from relevance_distillery.encoders.base_model import resolve_model
from relevance_distillery.grading import DEFAULT_SCALE as SCALE
from relevance_distillery.io.files import versions
from relevance_distillery.labeler.calibration import cut_points_like, quadratic_kappa
from relevance_distillery.labeler.distilling import distill
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.settings import TrainingSettings
from relevance_distillery.text.terms import analyzer, passage_text

PAGE, FIGURES = PAGES / "performance.md", PAGES / "performance.json"
LABELERS = ROOT / "data" / "06_models" / "labeler"
INT8_LABELERS = LABELERS.with_name("quantized_labeler")
SET = "trec-dl20"
LABELING = (OURS, OURS_INT8, OURS_FP32, *(name for name in WAYS if name != TRAINING))
OWN = (OURS, OURS_INT8, OURS_FP32)
REPEATED = (OURS, OURS_INT8, PLAIN)
WARM_UP, HELD_OUT = 64, 300
CALIBRATION_TEXTS = 300
"""As many as sentence-transformers takes by itself, of a data set that it would download."""
MINED, DEPTH = 1000, 500
QUERIES_EACH = 5
SIDE = 2048
COPIED = 2**29


class Process:
    """A CrossEncoder in a process of its own, asked and answering a line at a time.

    Attributes:
        missing: The package that it lacks; empty where it is ready.
    """

    def __init__(self, way: str, model: Path | str, workspace: Path, extras: Path | None) -> None:
        self._file = workspace / f"{way}.parquet"
        place = workspace / way
        place.mkdir()
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
        environment.pop("PYTHONPATH", None)
        if extras and WAYS[way].stack:
            environment["PYTHONPATH"] = str(extras / WAYS[way].stack)
        script = Path(__file__).with_name("cross_encoder_process.py")
        self._log = workspace / f"{way}.log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(script), way, str(model), str(place)],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        state, _, self.missing = self._line().partition(" ")
        assert state in ("ready", "missing"), state

    def ask(self, pairs: pd.DataFrame, **request: Any) -> tuple[float, np.ndarray]:
        """Seconds and logits, shape (pairs, grades)."""
        pairs.to_parquet(self._file)
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"pairs": str(self._file), **request}) + "\n")
        self._process.stdin.flush()
        seconds = json.loads(self._line())["seconds"]
        return seconds, np.load(self._file.with_suffix(".npy"))

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline().strip()
        if not line:
            raise SystemExit(self._log.read_text(encoding="utf-8")[-3000:])
        return line


def in_turn(
    ways: Sequence[str], rounds: int, run: Callable[[str], float]
) -> dict[str, list[float]]:
    """Seconds of each way in each round; a round begins with the next way."""
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds):
        first = number % len(ways)
        for way in [*ways[first:], *ways[:first]]:
            seconds[way].append(run(way))
            print(f"{way}: {seconds[way][-1]:.2f} s", flush=True)
    return seconds


def label(
    pairs: pd.DataFrame,
    ways: Sequence[str],
    rounds: int,
    labeler: Path,
    int8: Path | None,
    extras: Path | None,
) -> Found:
    """Grades pairs by every way that is installed; agreement with the column `human`."""
    human = SCALE.positions(pairs["human"].to_numpy(dtype=np.int64))
    ours = {
        OURS: Labeler.load(labeler, device="cpu"),
        OURS_FP32: Labeler.load(labeler, device="cpu", precision="fp32"),
    }
    if int8 is not None:
        ours[OURS_INT8] = Labeler.load(int8, device="cpu")
    graded: dict[str, np.ndarray] = {}
    scores: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        _keep_calibration_texts(pairs, workspace)
        others = {way: Process(way, labeler, workspace, extras) for way in ways if way not in OWN}

        def run(way: str, some: pd.DataFrame) -> float:
            if way not in OWN:
                seconds, logits = others[way].ask(some[["query", "text"]])
                graded[way] = grades_like(human[: len(some)], logits)
                return seconds
            started = time.perf_counter()
            found = ours[way].grade(some)
            seconds = time.perf_counter() - started
            graded[way] = SCALE.positions(found["grade"].to_numpy(dtype=np.int64))
            scores[way] = found["score"].to_numpy()
            return seconds

        there = [way for way in ways if (way in ours if way in OWN else not others[way].missing)]
        for way in there:
            run(way, pairs.head(WARM_UP))
        seconds = in_turn(there, rounds, lambda way: run(way, pairs))
        for other in others.values():
            other.close()
    found: Found = {
        "set": SET,
        "pairs": len(pairs),
        "queries": int(pairs["query"].nunique()),
        "passages": int(pairs["text"].nunique()),
        "precision": ours[OURS].precision,
        "labeler": ours[OURS].name,
        "base_model": ours[OURS].facts.base_model,
        "rounds": rounds,
        "seconds": seconds,
        "missing": sorted({other.missing for other in others.values()} - {""}),
        "quadratic_kappa": {way: quadratic_kappa(human, graded[way], SCALE.size) for way in there},
        "products": products(ours[OURS].model.backbone.config, lengths(ours[OURS], pairs)),
    }
    if OURS_FP32 in there:
        couple = [scores[OURS], scores[OURS_FP32]]
        same = graded[OURS] == graded[OURS_FP32]
        found["correlation_with_fp32"] = float(np.corrcoef(couple)[0, 1])
        found["same_grade_as_fp32"] = float(same.mean())
    return found


def grades_like(human: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Positions on the scale from logits, shape (pairs, grades), as often each as people's.

    The likeliest class alone would be grade 0 almost everywhere.
    """
    likely = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected = likely @ SCALE.values / likely.sum(axis=1)
    return np.searchsorted(cut_points_like(human, expected, SCALE), expected, "right")


def _keep_calibration_texts(pairs: pd.DataFrame, workspace: Path) -> None:
    """Passages on which the int8 model of OpenVINO is calibrated, where its process looks."""
    texts = pairs["text"].drop_duplicates().sample(frac=1.0, random_state=0)
    repeated = np.resize(texts.to_numpy(), CALIBRATION_TEXTS)
    place = workspace / CALIBRATION
    place.mkdir()
    pd.DataFrame({"text": repeated}).to_json(place / "train.jsonl", orient="records", lines=True)


def lengths(labeler: Labeler, pairs: pd.DataFrame) -> np.ndarray:
    """Tokens of each distinct text that a labeler reads for some pairs."""
    tokens = labeler.tokenise(*labeler.facts.template.render(pairs))
    rows = [*tokens.joint, *tokens.queries, *tokens.passages]
    return np.array([len(row["input_ids"]) for row in rows], dtype=np.int64)


def products(config: Any, tokens: np.ndarray) -> int:
    """Floating-point operations in an encoder's matrix products for texts of so many tokens.

    A product of m x k and k x n counts 2 m k n.
    """
    width, inner = config.hidden_size, config.intermediate_size
    # Query, key, value, output; two of the feed-forward part; scores and their mixture of values.
    linear = 2 * (4 * width**2 + 2 * width * inner) * int(tokens.sum())
    return config.num_hidden_layers * (linear + 4 * width * int((tokens**2).sum()))


def five_queries_each(pairs: pd.DataFrame, size: int, seed: int = 0) -> pd.DataFrame:
    """Pairs of a file in which each passage is a candidate of five queries, sorted by query.

    Its own query and four more, drawn; `human` is that of the own one, and tells nothing of these.
    """
    chosen = pairs.drop_duplicates("text")
    chosen = chosen.sample(min(size // QUERIES_EACH, len(chosen)), random_state=seed)
    every = np.array(sorted(pairs["query"].unique()), dtype=object)
    rng = np.random.default_rng(seed)
    parts = [chosen]
    drawn = [
        rng.choice(every[every != query], QUERIES_EACH - 1, replace=False)
        for query in chosen["query"]
    ]
    parts += [chosen.assign(query=[row[n] for row in drawn]) for n in range(QUERIES_EACH - 1)]
    return pd.concat(parts).sort_values("query", kind="stable").reset_index(drop=True)


def train(pairs: int, rounds: int, extras: Path | None) -> Found:
    """One epoch over the same pairs by both, to agreement with people on other queries.

    Ours is the seconds of `train` without the head before tuning, evaluations and checkpoints.
    """
    whole = read_set(BENCHMARKS / SET, None)
    folds = folds_of(whole.pairs, 5, 0)
    check = whole.only(folds[0]).texts()
    check = check.sample(min(HELD_OUT, len(check)), random_state=0)
    human = SCALE.positions(check["human"].to_numpy(dtype=np.int64))
    known = whole.only(set.union(*folds[1:]))
    some = known.pairs.sample(min(6 * pairs, len(known.pairs)), random_state=0)
    passages = known.passages[known.passages["passage_id"].isin(some["passage_id"])]
    data = dataclasses.replace(known, pairs=some.reset_index(drop=True), passages=passages).data()
    settings = TrainingSettings(
        folds=1, epochs=1.0, max_train_pairs=pairs, max_head_pairs=pairs, max_evaluation_pairs=50,
        max_calibration_pairs=HELD_OUT, max_null_pairs=0,
    )  # fmt: skip
    learned: list[pd.DataFrame] = []
    stated: list[float | None] = []
    how: dict[str, Any] = {}
    graded: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        other = Process(TRAINING, resolve_model("bundled"), workspace, extras)
        if other.missing:
            other.close()
            return {"missing": [other.missing]}
        check.to_parquet(workspace / "check.parquet")
        request = {"check": str(workspace / "check.parquet"), "grades": SCALE.size}

        def run(way: str) -> float:
            if way == TRAINING:
                seconds, logits = other.ask(learned[0], **request)
                graded[way] = grades_like(human, logits)
                return seconds
            with tempfile.TemporaryDirectory() as place, training_clock() as clock:
                made, facts = distill(data, settings, SCALE, Path(place))
                found = Labeler.load(made).grade(check)
            stated.append(facts.get("pairs_per_second"))
            how.update(precision=facts["precision"], tuned_layers=facts["settings"]["tuned_layers"])
            graded[way] = SCALE.positions(found["grade"].to_numpy(dtype=np.int64))
            learned.append(clock.learned)
            return clock.seconds

        run(OURS)  # warms up, and tells which pairs it learns
        other.ask(learned[0].head(WARM_UP), **request)
        seconds = in_turn([OURS, TRAINING], rounds, run)
        other.close()
    return {
        "pairs": len(learned[0]),
        "rounds": rounds,
        "seconds": seconds,
        **how,
        "stated_pairs_per_second": stated[1:],
        "held_out_pairs": len(check),
        "quadratic_kappa": {
            way: quadratic_kappa(human, grades, SCALE.size) for way, grades in graded.items()
        },
        "missing": [],
    }


class TrainingClock:
    """Seconds of `train` without what is no learning, and which pairs it learned.

    Attributes:
        seconds: From the texts to the last step.
        learned: Columns query, text and label, a position on the scale.
    """

    seconds = 0.0
    learned: pd.DataFrame

    def counted(self, function: Callable[..., Any], sign: int) -> Callable[..., Any]:
        """The function, its seconds added or, with a sign of -1, taken off."""

        @functools.wraps(function)
        def wrapped(*arguments: Any, **options: Any) -> Any:
            if sign > 0:
                given = inspect.signature(function).bind(*arguments, **options).arguments["learn"]
                self.learned = given.pairs[["query", "text"]].assign(label=given.positions)
            started = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds += sign * (time.perf_counter() - started)

        return wrapped


@contextlib.contextmanager
def training_clock() -> Generator[TrainingClock]:
    """A clock that runs while a labeler learns inside the context."""
    from transformers import Trainer

    from relevance_distillery.labeler import training
    from relevance_distillery.labeler.initialisation import HeadInitialiser

    clock = TrainingClock()
    with contextlib.ExitStack() as patches:
        for owner, name, sign in (
            (training, "train", 1),
            (training, "evaluate", -1),
            (HeadInitialiser, "initialise", -1),
            (Trainer, "_save_checkpoint", -1),
        ):
            counted = clock.counted(getattr(owner, name), sign)
            patches.enter_context(mock.patch.object(owner, name, counted))
        yield clock


def mine(rounds: int) -> Found:
    """Index and search by the channel, and by bm25s called bare at its fastest, on the same tokens.

    Both make the tokens from the texts, and use one core: seconds are the processor's. Queries are
    those of the set and beginnings of passages.
    """
    import bm25s

    whole = read_set(BENCHMARKS / SET, None)
    passages = whole.passages
    begun = passages.sample(max(0, MINED - len(whole.queries)), random_state=0, replace=True)
    begun = [" ".join(text.split()[:8]) for text in begun["text"]]
    texts = [*whole.queries["text"], *begun]
    queries = pd.DataFrame({"query_id": [f"q{n}" for n in range(len(texts))], "text": texts})
    parts: dict[str, dict[str, list[float]]] = {way: defaultdict(list) for way in (OURS, BM25S)}
    best: dict[str, np.ndarray] = {}

    def run(way: str) -> float:
        started = time.process_time()
        if way == OURS:
            channel = BM25Channel.build(passages)
            middle = time.process_time()
            found = channel.search(queries, DEPTH)
            ended = time.process_time()
            best[way] = found.groupby("query_id")["score"].sum().reindex(queries["query_id"])
        else:
            words = analyzer("en")
            index = bm25s.BM25(k1=1.2, b=0.75, method="lucene", backend="numba")
            corpus = [words.terms(text) for text in passage_text(passages)]
            tokens = time.process_time() - started
            index.index(corpus, show_progress=False)
            middle = time.process_time()
            asked = [words.terms(text) for text in texts]
            parts[way]["tokens"].append(tokens + time.process_time() - middle)
            _, scores = index.retrieve(asked, k=DEPTH, show_progress=False)
            ended = time.process_time()
            best[way] = scores.sum(axis=1)
        parts[way]["index"].append(middle - started)
        parts[way]["search"].append(ended - middle)
        return ended - started

    run(BM25S)  # compiles
    parts[BM25S].clear()
    seconds = in_turn([OURS, BM25S], rounds, run)
    assert np.allclose(best[OURS], best[BM25S], rtol=1e-3), "rankings differ"
    return {
        "set": SET,
        "passages": len(passages),
        "queries": len(queries),
        "depth": DEPTH,
        "rounds": rounds,
        "seconds": seconds,
        "parts": parts,
    }


def limits(rounds: int) -> Found:
    """The best of square matrix products in both types, GFLOP/s, and of a copy, GB/s."""
    import torch

    def best(run: Callable[[], Any]) -> float:
        run()
        found = []
        for _ in range(3 * rounds):
            started = time.perf_counter()
            run()
            found.append(time.perf_counter() - started)
        return min(found)

    speeds = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        left, right = torch.rand(SIDE, SIDE).to(dtype), torch.rand(SIDE, SIDE).to(dtype)
        into = torch.empty(SIDE, SIDE, dtype=dtype)
        seconds = best(lambda: torch.mm(left, right, out=into))  # noqa: B023
        speeds[name] = 2 * SIDE**3 / seconds / 1e9
    source, target = torch.zeros(COPIED // 4), torch.zeros(COPIED // 4)
    return {
        "side": SIDE,
        "gflops": speeds,
        "copied_gb_per_second": 2 * COPIED / best(lambda: target.copy_(source)) / 1e9,
        "threads": torch.get_num_threads(),
    }


def first_run(before: str, rounds: int) -> Found:
    """`kedro run` in a fresh checkout of today's commit and of an earlier one, `before`.

    Both with this environment's packages, so that code alone differs.
    """
    revisions = {OURS: "HEAD", BEFORE: before}

    def run(way: str) -> float:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "checkout"
            git = ["git", "-C", str(ROOT), "worktree"]
            subprocess.run([*git, "add", "--quiet", "--detach", place, revisions[way]], check=True)
            environment = {**os.environ, "PYTHONPATH": str(place / "src")}
            started = time.perf_counter()
            try:
                subprocess.run(
                    [sys.executable, "-m", "kedro", "run"],
                    cwd=place, env=environment, check=True, capture_output=True,
                )  # fmt: skip
            finally:
                seconds = time.perf_counter() - started
                subprocess.run([*git, "remove", "--force", place], check=True)
        return seconds

    return {"before": before, "rounds": rounds, "seconds": in_turn([OURS, BEFORE], rounds, run)}


def command(asked: argparse.Namespace, parser: argparse.ArgumentParser) -> str:
    """What was typed, without names of folders."""
    words = ["BENCHMARKS=… python benchmarks/performance.py"]
    for name in ("pairs", "train_pairs", "rounds", "before", "labeler", "int8", "extras"):
        value = getattr(asked, name)
        if value != parser.get_default(name):
            words.append(f"--{name.replace('_', '-')} {'…' if isinstance(value, Path) else value}")
    if asked.only != parser.get_default("only"):
        words += ["--only", *asked.only]
    return " ".join(words)


def main() -> None:
    """Measures what is asked for, keeps the figures, and writes the page from all of them."""
    names = ("labeling", "repeated", "training", "mining", "machine", "first_run")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--labeler", type=Path, default=None, help="default: the newest of data/")
    parser.add_argument("--int8", type=Path, default=None, help="that in int8, likewise")
    parser.add_argument("--pairs", type=int, default=5000, help="to label")
    parser.add_argument("--train-pairs", type=int, default=600, help="to learn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--before", default="2e5b0b1~1", help="commit that first_run looks back to")
    parser.add_argument("--only", nargs="+", choices=names, default=names[:-1], metavar="NAME")
    parser.add_argument("--extras", type=Path, default=None, help="folder of stacks, see above")
    parser.add_argument("--dry", action="store_true", help="prints and writes nothing")
    asked = parser.parse_args()
    needs_labeler = {"labeling", "repeated"} & set(asked.only)
    labeler = asked.labeler or next(iter(versions(LABELERS)), None)
    if needs_labeler and labeler is None:
        parser.error(f"no labeler in {LABELERS.relative_to(ROOT)}: kedro run first, or --labeler")
    int8 = asked.int8 or next(iter(versions(INT8_LABELERS)), None)
    extras = asked.extras.resolve() if asked.extras else None

    def measure(name: str) -> Found:
        if name == "training":
            return train(asked.train_pairs, asked.rounds, extras)
        if name == "mining":
            return mine(asked.rounds)
        if name == "machine":
            return limits(asked.rounds)
        if name == "first_run":
            return first_run(asked.before, asked.rounds)
        assert labeler
        whole = read_set(BENCHMARKS / SET, None).texts()
        if name == "repeated":
            pairs = five_queries_each(whole, asked.pairs)
            found = label(pairs, REPEATED, asked.rounds, labeler, int8, extras)
            del found["quadratic_kappa"]  # nobody graded the drawn queries' pairs
            return found
        pairs = whole.sample(min(asked.pairs, len(whole)), random_state=0)
        return label(pairs, LABELING, asked.rounds, labeler, int8, extras)

    here = machine()
    stored = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.is_file() else {}
    # Figures of two machines are never mixed.
    kept = stored["measured"] if stored.get("machine") == here else {}
    today = str(datetime.date.today())
    facts = {"date": today, "command": command(asked, parser)}
    new = {name: {**facts, **measure(name)} for name in names if name in asked.only}
    figures = {"machine": here, "measured": kept | new}
    page = as_page(figures)
    print(page)
    if not asked.dry:
        FIGURES.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
