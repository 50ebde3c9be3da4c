"""Measures of rankings through ir_measures (MacAvaney et al., 2022), one value a query."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ir_measures
import numpy as np
import pandas as pd

from relevance_distillery.collections.system_runs import SystemRuns
from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.statistics.arrays import Floats
from relevance_distillery.grading import GradeScale

Qrels = dict[str, dict[str, int]]
"""Grades by query and document."""

_RELEVANT = re.compile(r"\brel=R\b")
_LARGEST_EXPONENT = 30


@dataclass(frozen=True)
class Measure:
    """A measure with this project's name for it.

    Attributes:
        name: As in reports, such as `AP(rel=2)`.
        measure: Of ir_measures.
        cutoff: The rank that it reads down to; None for the whole ranking.
        says: How grades become gains, one sentence.
    """

    name: str
    measure: Any
    cutoff: int | None
    says: str


def parse_measures(names: Sequence[str], scale: GradeScale) -> list[Measure]:
    """Measures by their names in ir_measures.

    `rel=R` stands for the grade from which a document counts as relevant. nDCG without stated
    gains has the gain 2^grade − 1 (Burges et al., 2005).

    Raises:
        UserError: A name is not known, cannot be computed here, or is given twice.
    """
    found: list[Measure] = []
    for written in names:
        name = _RELEVANT.sub(f"rel={scale.relevant_from}", str(written).strip())
        try:
            measure = ir_measures.parse_measure(name)
            list(ir_measures.evaluator([measure], {"q": {"d": 1}}).iter_calc({"q": {"d": 1.0}}))
        except Exception as error:
            # Its parser raises exceptions of any kind.
            raise UserError(
                f"evaluating.measures: {name[:60]!r} is no measure that can be computed here; "
                "write for example nDCG@10, AP(rel=R), P(rel=R)@10, RR(rel=R)@10"
            ) from error
        if any(other.name == name for other in found):
            raise UserError(f"evaluating.measures: {name} is given twice; keep one")
        found.append(_with_gains(name, measure, scale))
    if not found:
        raise UserError("evaluating.measures: names no measure; keep at least nDCG@10")
    return found


def _with_gains(name: str, measure: Any, scale: GradeScale) -> Measure:
    cutoff = measure.params.get("cutoff")
    if measure.NAME != "nDCG" or {"gains", "dcg"} & set(measure.params):
        graded = "rel" in measure.SUPPORTED_PARAMS
        says = f"relevant from grade {measure['rel']} on" if graded else "as in ir_measures"
        return Measure(name, measure, cutoff, says)
    largest = int(scale.values.max())
    if largest > _LARGEST_EXPONENT:
        gains = {int(grade): max(int(grade), 0) for grade in scale.values}
        says = "gain: the grade itself, since 2^grade is too large on this scale"
    else:
        gains = {int(grade): 2 ** max(int(grade), 0) - 1 for grade in scale.values}
        says = "gain 2^grade − 1, discount 1 / log2(rank + 1)"
    return Measure(name, measure(gains=gains), cutoff, says)


def per_query(
    runs: SystemRuns,
    grades: Mapping[str, Mapping[str, int]],
    measures: list[Measure],
    queries: list[str],
) -> Floats:
    """One value for each measure, system and query.

    A document without a grade is not relevant, a query that a system did not answer has the
    value 0, and so has one without any relevant document, as with trec_eval's option -c. The
    order of a ranking is that of its ranks: ties were broken before. `grades` are by query and
    document.

    Returns:
        Shape (measures, systems, queries); nan for a query without any grade.
    """
    graded = {query: dict(grades[query]) for query in queries if grades.get(query)}
    values = np.full((len(measures), len(runs.systems), len(queries)), np.nan)
    place = {query: number for number, query in enumerate(queries)}
    values[:, :, [place[query] for query in graded]] = 0.0
    if not graded:
        return values
    row = {measure.measure: number for number, measure in enumerate(measures)}
    evaluator = ir_measures.evaluator(list(row), graded)
    kept = runs.ranked[runs.ranked["query_id"].isin(graded)]
    rankings = kept.rename(columns={"document_id": "doc_id"}).assign(score=-kept["rank"])
    for number, system in enumerate(runs.systems):
        for found in evaluator.iter_calc(rankings[rankings["system"] == system]):
            values[row[found.measure], number, place[found.query_id]] = found.value
    return values


def as_qrels(table: pd.DataFrame, column: str) -> Qrels:
    """Grades of `column` by query_id and document_id, where there are any."""
    grades = table.dropna(subset=[column]).set_index("document_id")
    return {
        str(query): {str(document): int(grade) for document, grade in rows.items()}
        for query, rows in grades.groupby("query_id", sort=False)[column]
    }
