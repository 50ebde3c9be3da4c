"""Writes docs/reference/parameters.md from the Pydantic models and conf/base.

`python docs/tools/parameters.py` writes the page; with `--check` it only compares and exits
with status 1 when the page is out of date. Reasons come from the models' field descriptions,
values from the configuration, so that neither is written down twice.
"""

from __future__ import annotations

import argparse
import re
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from kedro.config import OmegaConfigLoader
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from relevance_distillery.executors.execution import ExecutionParameters
from relevance_distillery.grading import GradeScale
from relevance_distillery.hooks.checks import known_parameters
from relevance_distillery.labeler.settings import TrainingSettings
from relevance_distillery.pipelines.cascading.parameters import CascadingParameters
from relevance_distillery.pipelines.compressing.parameters import CompressingParameters
from relevance_distillery.pipelines.distillation.parameters import DistillationParameters
from relevance_distillery.pipelines.evaluating.parameters import EvaluatingParameters
from relevance_distillery.pipelines.forgetting.parameters import ForgettingParameters
from relevance_distillery.pipelines.hand_grading.parameters import HandGradingParameters
from relevance_distillery.pipelines.labeling.parameters import LabelingParameters
from relevance_distillery.pipelines.mining.parameters import MiningParameters
from relevance_distillery.pipelines.planning.parameters import PlanningParameters
from relevance_distillery.pipelines.probing.parameters import ProbingParameters
from relevance_distillery.pipelines.quantizing.parameters import QuantizingParameters
from relevance_distillery.pipelines.recalibrating.parameters import RecalibratingParameters
from relevance_distillery.pipelines.reporting.parameters import ReportingParameters
from relevance_distillery.pipelines.retrieving.parameters import RetrievingParameters
from relevance_distillery.pipelines.scoring.parameters import ScoringParameters
from relevance_distillery.pipelines.searching.parameters import SearchingParameters
from relevance_distillery.pipelines.synthesis.parameters import SynthesisParameters
from relevance_distillery.settings import CONFIG_LOADER_ARGS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "parameters.md"

GROUPS: dict[str, tuple[type[BaseModel], str]] = {
    "synthesis": (SynthesisParameters, "synthesis"),
    "mining": (MiningParameters, "mining"),
    "planning": (PlanningParameters, "planning"),
    "labeling": (LabelingParameters, "labeling"),
    "distillation": (DistillationParameters, "distillation"),
    "reporting": (ReportingParameters, "reporting"),
    "scoring": (ScoringParameters, "scoring"),
    "retrieving": (RetrievingParameters, "retrieving"),
    "compressing": (CompressingParameters, "compressing"),
    "searching": (SearchingParameters, "searching"),
    "evaluating": (EvaluatingParameters, "evaluating"),
    "cascading": (CascadingParameters, "cascading"),
    "forgetting": (ForgettingParameters, "forgetting"),
    "hand_grading": (HandGradingParameters, "hand_grading"),
    "probing": (ProbingParameters, "probing"),
    "recalibrating": (RecalibratingParameters, "recalibrating"),
    "quantizing": (QuantizingParameters, "quantizing"),
    "execution": (ExecutionParameters, "../how-to/scale-out"),
    "scale": (GradeScale, ""),
}
"""Group in the configuration: its model, and the page that explains it."""

FILES = {
    "documents": "a folder, a file or a BEIR folder of documents; several separated by `;`",
    "queries": "a log of people's own queries, mixed in with the synthetic ones; with "
    "`--pipeline=search`: the queries to answer",
    "human_judgments": "people's grades: a BEIR folder, TREC qrels, or a table with the query's "
    "text; the report is measured on them",
    "benchmark": "the same as `human_judgments`, as a set of its own in the environment `recorded`",
    "judgment_queries": "the queries' texts where `human_judgments` is a TREC qrels file",
    "grades": "the grades of the recorded judge, with `judge=recorded`; with `--pipeline=report` "
    "files of grades by any judge, separated by `;`, that are measured without a labeler",
    "grade_map": "maps recorded grades of another scale: `grade_map.SET.GIVEN=OURS`",
    "columns": "what a table of people's grades calls its columns, as `columns.document_id=sku`",
    "grade_columns": "what judges' tables in `grades` call theirs, as `grade_columns.grade=stars`",
    "prompt": "the grading prompt of a language model, a Jinja file",
    "query_prompt": "the prompt by which a language model writes queries, a Jinja file",
    "train_set": "with `--env=recorded`: BEIR folders whose judge teaches, separated by `;`",
    "pairs": "with `--pipeline=score`: the pairs to grade; with `--pipeline=recalibrate` and "
    "`prior`: pairs of the collection",
    "scored": "with `--pipeline=score`: where the graded pairs go",
    "sheet": "the sheet for graders that `export_sheet` writes; the sheets, separated by `;`, that "
    "`import_sheet` reads",
    "attacks": "with `--pipeline=probe`: a file of hostile texts instead of the bundled one",
    "runs": "a folder of TREC runs or tables, one a search engine: what `evaluate` measures, and "
    "channels of `mine` and `train_retriever`",
    "run": "with `--pipeline=search`: the TREC run to write",
    "qrels": "with `--pipeline=score`: TREC qrels to write besides",
}
"""What `--params` takes that no parameter group holds: paths which the catalog reads."""


@dataclass(frozen=True)
class Row:
    """One parameter: key below its group, value in conf/base, short name, limits, reason."""

    key: str
    value: str
    short: str
    limits: str
    reason: str

    @property
    def described(self) -> tuple[str, str, str]:
        """What two settings share that mean the same: last part of the key, limits, reason."""
        return self.key.rpartition(".")[2], self.limits, self.reason


def page() -> str:
    """The whole page."""
    loader = OmegaConfigLoader(
        conf_source=str(ROOT / "conf"),
        env="base",
        **{**CONFIG_LOADER_ARGS, "default_run_env": "base"},
    )
    values, raw = loader["parameters"], _raw_parameters()
    shorts: dict[str, list[str]] = {}
    sections = []
    known: dict[tuple[str, str, str], str] = {}
    for group, (model, explained) in GROUPS.items():
        rows = list(_rows(model, values[group], raw[group], group))
        for row in rows:
            if row.short:
                shorts.setdefault(row.short, []).append(f"`{group}.{row.key}`")
        sections.append(_section(group, model, explained, rows, known))
    return "\n".join([_INTRODUCTION, _short_table(shorts), *sections]).rstrip() + "\n"


_INTRODUCTION = """\
# Parameters

<!-- Written by docs/tools/parameters.py; change the models or conf/base instead. -->

Values are in `conf/base/<pipeline>/parameters.yml`; limits are in brackets. To change one:

- **for one run**, `kedro run --params="typed here"`: a short name of the table below, or
  `GROUP.KEY`, such as `synthesis.typo_share=0`; several are separated by commas;
- **for one corpus**, `kedro run --config=FILE` with a copy of `conf/example.yml`;
- **for good, for you alone**, in `conf/local/`, which git ignores: any file named
  `parameters*.yml` there overrides single keys, but not in runs with `--env`;
- **for everybody**, in `conf/base/`.

A value that itself holds a comma cannot be typed after `--params`; put it into a file. An unknown
name or a value out of its limits stops the run before its first node, with one line that says what
is known.
"""


_SHORT_NAMES = (
    "Names that set several parameters or a file; those of one parameter are given with it."
)


def _short_table(shorts: dict[str, list[str]]) -> str:
    known, _ = known_parameters(ROOT / "conf")
    unexplained = sorted(known - set(FILES) - set(shorts))
    gone = sorted(set(FILES) - known)
    if unexplained or gone:
        raise SystemExit(
            f"FILES in {Path(__file__).name} lacks {unexplained} and explains {gone}, "
            "which no configuration file reads"
        )
    lines = ["## Short names", "", _SHORT_NAMES, "", "| `--params` | what it sets |", "|---|---|"]
    for name in sorted(known):
        # A name of one parameter alone stands with it below.
        if name not in FILES and len(shorts[name]) == 1 and shorts[name][0].endswith(f".{name}`"):
            continue
        parts = [FILES[name]] if name in FILES else []
        if name in shorts:
            parts.append(", ".join(dict.fromkeys(shorts[name])))
        lines.append(f"| `{name}` | {'; '.join(parts)} |")
    return "\n".join([*lines, ""])


def _section(
    group: str,
    model: type[BaseModel],
    explained: str,
    rows: list[Row],
    known: dict[tuple[str, str, str], str],
) -> str:
    """A heading and a list; settings that were described before, in `known`, are only named."""
    about = _first_line(model)
    if explained:
        name = explained.rpartition("/")[2]
        folder = "" if "/" in explained else "../pipelines/"
        about = f"See [{name}]({folder}{explained}.md)."
    lines = [f"## {group}", "", about, ""]
    repeated: dict[str, list[str]] = {}
    for row in rows:
        if row.described in known:
            repeated.setdefault(known[row.described], []).append(f"`{row.key}` {row.value}".strip())
            continue
        known[row.described] = group
        facts = row.value + (f" ({row.limits})" if row.limits else "")
        facts += f', `--params="{row.short}=…"`' if row.short else ""
        start = f"- **`{row.key}`**" + (f" {facts}" if facts else "")
        lines.append(f"{start}: {row.reason}")
    for other, keys in repeated.items():
        where = "above" if other == group else f"in [{other}](#{other})"
        lines.append(f"- As {where}: {', '.join(keys)}")
    if group == "distillation":
        lines += ["", "What is null comes from the recipe:", "", *_recipes()]
    return "\n".join([*lines, ""])


def _recipes() -> Iterator[str]:
    """A table of what the recipes set, as rows of Markdown."""
    names = get_args(TrainingSettings.model_fields["recipe"].annotation)
    found = [TrainingSettings(recipe=name).resolved("full", "late_interaction") for name in names]
    yield f"| `training.…` | {' | '.join(f'`{name}`' for name in names)} |"
    yield "|---" * (len(names) + 1) + "|"
    for key in TrainingSettings.model_fields:
        values = [getattr(settings, key) for settings in found]
        if key != "recipe" and len(set(values)) > 1:
            shown = ("all" if value == 10**9 else _shown(value) for value in values)
            yield f"| `{key}` | {' | '.join(shown)} |"


def _rows(
    model: type[BaseModel], value: Any, raw: Any, group: str, prefix: str = ""
) -> Iterator[Row]:
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        given = value.get(name, PydanticUndefined) if isinstance(value, dict) else PydanticUndefined
        written = raw.get(name) if isinstance(raw, dict) else None
        inner, kind = _inner_model(field.annotation)
        if inner is not None and kind == "":
            yield from _rows(inner, given, written, group, f"{key}.")
            continue
        if inner is not None:
            yield Row(key, "", "", "", _reason(field, model))
            yield from _rows(inner, None, None, group, f"{key}{kind}.")
            continue
        if given is PydanticUndefined and prefix.count("[") == 0 and "NAME" not in prefix:
            given = field.get_default(call_default_factory=True)
        yield Row(key, _shown(given), _short(written), _limits(field), _reason(field, model))


def _inner_model(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """The model inside an annotation, and how its keys are addressed."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (tuple, list) and arguments:
        inner, _ = _inner_model(arguments[0])
        return inner, "[]"
    if origin is dict:
        inner, _ = _inner_model(arguments[1])
        return inner, ".NAME"
    return None, ""


def _reason(field: FieldInfo, model: type[BaseModel]) -> str:
    text = field.description or _from_docstring(field, model)
    text = " ".join(text.split()).replace("|", "\\|")
    return text[:1].upper() + text[1:].rstrip(".") + "." if text else ""


def _from_docstring(field: FieldInfo, model: type[BaseModel]) -> str:
    """The field's line in the model's `Attributes:` block, or the model's first line."""
    for name, known in model.model_fields.items():
        if known is field:
            found = re.search(
                rf"^\s+{name}: (.+?)(?=\n\s+\w+: |\Z)", model.__doc__ or "", re.M | re.S
            )
            if found:
                return found.group(1)
    return _first_line(model)


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def _shown(value: Any) -> str:
    if value is PydanticUndefined:
        return ""
    if value is None:
        return "`null`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, dict):
        return "<br>".join(f"`{key}: {inner}`" for key, inner in value.items()) or "`{}`"
    if isinstance(value, (list, tuple)):
        return "`[" + ", ".join(map(str, value)) + "]`"
    return f"`{value}`"


def _short(written: Any) -> str:
    found = re.search(r"\$\{runtime_params:\s*([A-Za-z_]\w*)", str(written or ""))
    return found.group(1) if found and str(written).startswith("${runtime_params:") else ""


def _limits(field: FieldInfo) -> str:
    choices = _choices(field.annotation)
    if choices:
        return ", ".join(f"`{choice}`" for choice in choices)
    if {getattr(part, "lt", None) for part in field.metadata} >= {2**32}:
        return "below 2³²"
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    found = [
        f"{sign}{getattr(part, name):g}"  # a sign before a number alone takes no blank
        for part in field.metadata
        for name, sign in signs.items()
        if getattr(part, name, None) is not None
    ]
    return ", ".join(found)


def _choices(annotation: Any) -> list[str]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return [str(choice) for choice in arguments]
    if origin in (tuple, list, Union, types.UnionType):
        return [choice for part in arguments for choice in _choices(part)]
    return []


def _raw_parameters() -> dict[str, Any]:
    raw: dict[str, Any] = {}
    for file in sorted((ROOT / "conf" / "base").rglob("parameters*.yml")):
        raw.update(yaml.safe_load(file.read_text(encoding="utf-8")))
    unknown = sorted(set(raw) ^ set(GROUPS))
    if unknown:
        raise SystemExit(f"GROUPS in {Path(__file__).name} and conf/base differ in {unknown}")
    return raw


def main() -> None:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare")
    text = page()
    if not parser.parse_args().check:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        sys.exit(f"{PAGE.relative_to(ROOT)} is out of date: run `python docs/tools/parameters.py`")


if __name__ == "__main__":
    main()
