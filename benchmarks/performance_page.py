"""docs/results/performance.md from the figures that `performance.py` measured."""

from __future__ import annotations

import statistics
import textwrap
from typing import Any

from cross_encoder_process import PLAIN, TRAINING, WAYS
from pages import table

from relevance_distillery.reporting.formats import figure

OURS, OURS_INT8, OURS_FP32, BM25S = "labeler", "labeler-int8", "labeler-fp32", "bm25s"
BEFORE = "before"
PEER_INT8 = "openvino-int8"
TITLES = {
    OURS: "`Labeler.grade`",
    OURS_INT8: "the same, [int8](../pipelines/quantizing.md)",
    OURS_FP32: "the same, fp32",
    **{name: way.title for name, way in WAYS.items()},
}

FEWEST_PAIRS = 1000
"""A page of a run with fewer says that it is a trial."""

Found = dict[str, Any]
"""What was measured of one subject."""


def as_page(figures: Found) -> str:
    """The page: labeling, the other comparisons, the machine's limit; what was measured of them."""
    measured = figures["measured"]
    commands = "\n".join(dict.fromkeys(found["command"] for found in measured.values()))
    dates = ", ".join(sorted({found["date"] for found in measured.values()}))
    small = any(measured[name]["pairs"] < FEWEST_PAIRS for name in _LABELING if name in measured)
    parts = [
        "# Speed\n",
        f"Machine: {figures['machine']}. Date: {dates}.\n",
        f"```\n{commands}\n```\n",
        _fill(
            (_TRIAL if small else "") + "*Takes*: how many times as long as ours, for the same "
            "input; median and range of alternating rounds after a warm-up."
        )
        + "\n",
    ]
    if "labeling" in measured:
        parts.append(_labeling(measured["labeling"]))
    others = {
        "repeated": _repeated, "training": _training, "first_run": _first_run, "mining": _mining,
        "machine": _machine,
    }  # fmt: skip
    for name, line in others.items():
        if name in measured:
            parts.append(_fill(f"- {line(measured)}", "  "))
    return "\n".join(parts) + "\n"


def _labeling(found: Found) -> str:
    lead = (
        f"Text to grades, {found['pairs']:,} judged pairs of `{found['set']}`, base model "
        f"`{found['base_model']}`, rounds: {found['rounds']}. κ is quadratic, with people. A "
        "CrossEncoder reads the folder as "
        "[a plain classifier](../how-to/serve.md#as-an-ordinary-hugging-face-model); its expected "
        "class is cut so that grades are as frequent as people's."
    )
    rows = [
        [
            TITLES[way],
            f"{_per_second(found, way):.0f}",
            "1" if way == OURS else _ratio(found, way),
            figure(found["quadratic_kappa"][way]),
        ]
        for way in found["seconds"]
    ]
    after = (
        f"Scores in {found['precision']} and fp32 correlate at "
        f"{figure(found['correlation_with_fp32'], 5)}; {100 * found['same_grade_as_fp32']:.1f} % "
        f"of the grades are the same.{_left_out(found)}"
    )
    if {OURS_INT8, PEER_INT8} <= set(found["seconds"]):
        after += (
            f" Of the labeler's time in int8, `CrossEncoder.predict` takes "
            f"{_ratio(found, PLAIN, OURS_INT8)}, in OpenVINO int8 "
            f"{_ratio(found, PEER_INT8, OURS_INT8)}."
        )
    body = table(["way", "pairs/s", "takes", "κ"], rows)
    return f"{_fill(lead)}\n\n{body}\n{_fill(after)}\n"


def _repeated(measured: dict[str, Found]) -> str:
    found = measured["repeated"]
    return (
        f"**Five queries a passage** ({found['pairs']:,} pairs of {found['passages']:,} passages): "
        f"{_per_second(found, OURS):.0f} pairs/s; `CrossEncoder.predict` takes "
        f"{_ratio(found, PLAIN)}."
    )


def _training(measured: dict[str, Found]) -> str:
    found = measured["training"]
    if found["missing"]:
        return f"**Training.**{_left_out(found)}"
    kappa = {way: figure(value) for way, value in found["quadratic_kappa"].items()}
    return (
        f"**Training**, one epoch over the same {found['pairs']:,} pairs, without evaluations, "
        "checkpoints and the head that ours fits before: "
        f"{_per_second(found, OURS):.0f} pairs/s, upper {found['tuned_layers']} layers, "
        f"{found['precision']}, κ {kappa[OURS]} on {found['held_out_pairs']} pairs of other "
        f"queries; `CrossEncoderTrainer` with defaults takes {_ratio(found, TRAINING)}, κ "
        f"{kappa[TRAINING]}."
    )


def _first_run(measured: dict[str, Found]) -> str:
    found = measured["first_run"]
    return (
        "**`kedro run`** on the bundled corpus: "
        f"{statistics.median(found['seconds'][OURS]):.0f} s; at commit "
        f"`{found['before']}` it takes {_ratio(found, BEFORE)}."
    )


def _mining(measured: dict[str, Found]) -> str:
    found = measured["mining"]
    medians = {
        way: {part: statistics.median(seconds) for part, seconds in parts.items()}
        for way, parts in found["parts"].items()
    }
    ours, bare = medians[OURS], medians[BM25S]
    return (
        f"**Mining** by BM25, {found['passages']:,} passages, {found['queries']:,} queries, depth "
        f"{found['depth']}, by the processor's clock: index {ours['index']:.2f} s, search "
        f"{ours['search']:.2f} s; bm25s called bare, compiled, takes {_ratio(found, BM25S)}: "
        f"{bare['index']:.2f} and {bare['search']:.2f} s."
    )


def _machine(measured: dict[str, Found]) -> str:
    found = measured["machine"]
    gflops = found["gflops"]
    text = (
        f"**The machine's limit**: a matrix product ({found['side']:,} wide) runs at "
        f"{gflops['fp32']:,.0f} GFLOP/s in fp32 and {gflops['bf16']:,.0f} in bf16, a copy at "
        f"{found['copied_gb_per_second']:.1f} GB/s."
    )
    labeled = measured.get("labeling")
    if labeled:
        seconds = statistics.median(labeled["seconds"][OURS])
        share = labeled["products"] / seconds / 1e9 / gflops[labeled["precision"]]
        text += (
            f" Labeling reaches {100 * share:.1f} % of the product in its type, counting the "
            "encoder's products for each distinct text once."
        )
    return text


_LABELING = ("labeling", "repeated")
_TRIAL = "**A trial of the script, too small for figures that one could rely on.** "


def _per_second(found: Found, way: str) -> float:
    """Pairs a second, the median of the rounds."""
    return found["pairs"] / statistics.median(found["seconds"][way])


def _ratios(found: Found, way: str, base: str) -> tuple[float, float, float]:
    """Seconds of a way over those of `base`, round by round: median, lowest, highest."""
    both = zip(found["seconds"][way], found["seconds"][base], strict=True)
    rounds = [other / ours for other, ours in both]
    return statistics.median(rounds), min(rounds), max(rounds)


def _ratio(found: Found, way: str, base: str = OURS) -> str:
    middle, low, high = _ratios(found, way, base)
    return f"{middle:.2f}×" + (f" ({low:.2f} to {high:.2f})" if found["rounds"] > 1 else "")


def _left_out(found: Found) -> str:
    missing = ", ".join(f"`{package}`" for package in found["missing"])
    return f" Not compared, since not installed: {missing}." if missing else ""


def _fill(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text, 100, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
