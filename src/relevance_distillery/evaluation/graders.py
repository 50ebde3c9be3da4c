"""The judges of the report at work: each grades the documents of a benchmark in its own way.

The untrained base model is what distillation has to beat. It has two similarities of its token
states, query and passage encoded separately: the cosine of the mean-pooled states (what sentence
encoders are trained for) and late interaction, the mean over query tokens of the best match among
the passage's (Khattab and Zaharia, 2020). Late interaction is the stronger of the two untrained
and is the row `base`.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from relevance_distillery.channels.bm25 import BM25Channel
from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.judgments import KEY
from relevance_distillery.collections.pairs_to_grade import PAIR_COLUMNS
from relevance_distillery.encoders.base_model import fitting_length, load_encoder, public_name
from relevance_distillery.encoders.devices import choose_device, prepare_inference
from relevance_distillery.encoders.layers import layers_alike
from relevance_distillery.evaluation.agreement.combining import ALONE, ALONE_EXPECTED
from relevance_distillery.evaluation.statistics.arrays import Floats, Ints
from relevance_distillery.grading import DEFAULT_SCALE, GradeScale
from relevance_distillery.judges.base import Judge
from relevance_distillery.judges.composites.consensus import ConsensusJudge
from relevance_distillery.judges.labeling import run_labeling
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.labeler.artifact import LabelerFacts
from relevance_distillery.labeler.calibration import cut_points_like
from relevance_distillery.labeler.features import FEATURES
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.model import PairModel
from relevance_distillery.labeler.template import InputTemplate
from relevance_distillery.learning.document_grades import best_of_passages
from relevance_distillery.learning.labelled_pairs import pairs_of_split

_SIMILARITIES = {"cosine": "cosine", "late_interaction": "maxsim"}


class UntrainedEncoder:
    """Similarities of a base model before fine-tuning: a labeler's features without its head."""

    def __init__(
        self, base_model: str, template: InputTemplate | None = None, precision: str = "fp32"
    ) -> None:
        """Load the model: `bundled`, a folder or a hub id; UserError where there is none.

        A labeler's own template and precision make the comparison with it fair.
        """
        network, tokenizer = load_encoder(base_model)
        wanted = template or InputTemplate()
        length = fitting_length(wanted.max_length, network.config, tokenizer)
        facts = LabelerFacts(
            base_model=public_name(base_model),
            architecture="late_interaction",
            scale=DEFAULT_SCALE,
            template=wanted.model_copy(update={"max_length": length}),
            cut_points=(),
        )
        device = choose_device()
        prepare_inference(network, device, precision, length)
        model = PairModel(network, "late_interaction", DEFAULT_SCALE.size)
        self._labeler = Labeler(model, tokenizer, facts, device=device, precision=precision)

    def share_layers_with(self, student: Labeler) -> None:
        """Read each text once through the layers that distillation left as they were.

        A student that is compiled, or lets pairs leave early, reads by itself.
        """
        own, other = self._labeler.model, student.model
        if student.stages is not None or not (own.can_share_layers and other.can_share_layers):
            return
        if alike := layers_alike(own.base, other.base):
            own.frozen = other.frozen = other.lower_layers(alike, student.precision)

    def scores(self, pairs: pd.DataFrame) -> pd.DataFrame:
        """Similarities of pairs: columns cosine, late_interaction, float64, the index of `pairs`.

        They have the columns query, text and, where there are any, the passage's other parts.
        """
        places = [FEATURES.index(name) for name in _SIMILARITIES.values()]
        values = np.zeros((0, len(places)))
        if len(pairs):
            values = self._labeler.features(pairs)[:, places].cpu().double().numpy()
        return pd.DataFrame(values, columns=[*_SIMILARITIES], index=pairs.index)


class ScoreGrades:
    """Turns a score into grades by cut points that were fitted on a teacher's labels.

    Each grade goes to as many pairs as the teacher gave it to, as with the labeler's own cut
    points, on pairs that are no part of the benchmark: the base gets the student's help.
    """

    def __init__(self, scores: Floats, grades: Ints, scale: GradeScale) -> None:
        """Fit to scores and the teacher's grades of the same pairs, each of shape (pairs,)."""
        self._scale = scale
        positions = scale.positions(grades)
        values = scale.values[positions].astype(np.float64)
        spread = float(np.var(scores)) if len(scores) else 0.0
        slope = float(np.cov(scores, values, bias=True)[0, 1]) / spread if spread > 0 else 0.0
        # A score that runs against the teacher keeps its direction: the base is not flipped.
        self._slope = max(slope, 1e-6)
        self._start = (float(values.mean()) - self._slope * float(scores.mean())) if spread else 0.0
        self._cuts = cut_points_like(positions, self._start + self._slope * scores, scale)

    def __call__(self, scores: Floats) -> Ints:
        """Grades of scores, shape (pairs,)."""
        expected = self._start + self._slope * np.asarray(scores, dtype=np.float64)
        return self._scale.values[np.searchsorted(self._cuts, expected, side="right")]


def grade_with_student(labeler: Labeler, pairs: pd.DataFrame) -> pd.DataFrame:
    """Grades of the student.

    Returns:
        Columns query_id, document_id, student_grade, student_expected (corrected for the
        number of passages), student_score (uncalibrated), student_probabilities (calibrated,
        of the document's best passage).
    """
    return _of_student(labeler, labeler.grade(pairs), pairs)


def _of_student(labeler: Labeler, graded: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    documents = labeler.document_grades(graded.join(pairs[KEY]))
    names = {
        "grade": "student_grade",
        "expected_grade": "student_expected",
        "score": "student_score",
        "probabilities": "student_probabilities",
    }
    return documents.rename(columns=names)[[*KEY, *names.values()]]


def grade_in_two_passes(labeler: Labeler, pairs: pd.DataFrame) -> pd.DataFrame:
    """Grades of the student before and after a second pass by query, see `learning.second_pass`.

    Returns:
        The columns of `grade_with_student`, second_pass_grade, second_pass_score (the expected
        grade).

    Raises:
        UserError: The labeler has no second pass.
    """
    twin, second = labeler.again, labeler.facts.second_pass
    assert second is not None
    graded, seen = labeler.look(pairs)
    scores = second.scores(seen)
    again = ~np.isnan(scores)
    raw = np.zeros((int(again.sum()), labeler.scale.size))
    both = (labeler, graded[~again]), (twin, twin.decide(raw, scores[again], pairs.index[again]))
    parts = [one.document_grades(own.join(pairs[KEY])) for one, own in both if len(own)]
    names = {"grade": "second_pass_grade", "expected_grade": "second_pass_score"}
    second_pass = pd.concat(parts, ignore_index=True).rename(columns=names)
    first = _of_student(labeler, graded, pairs)
    return first.merge(second_pass[[*KEY, *names.values()]], on=KEY, validate="one_to_one")


def grade_with_teacher(
    judge: Judge, ledger: Ledger, pairs: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Grades of a teacher that can be asked, through the ledger.

    A document has the grade of its best passage. A document with a passage that got no grade
    has none: its best passage could be that one.

    Returns:
        Columns query_id, document_id, teacher_grade and, where the judge gives probabilities,
        teacher_expected and teacher_probabilities; of several prompts or a consensus also `ALONE`
        and `ALONE_EXPECTED`; and the table of failures.
    """
    asked = pairs[list(PAIR_COLUMNS)]
    if "corpus_document" in pairs:
        asked = asked.assign(document_id=pairs["corpus_document"])
    labeling = run_labeling(asked, judge, ledger)
    documents = _of_documents(pairs, labeling.labels, judge.scale)
    given = documents["expected"].notna()
    columns = ["grade", "expected", "probabilities"] if given.any() else ["grade"]
    names = {name: f"teacher_{name}" for name in columns}
    found = documents[[*KEY, *columns]].rename(columns=names)
    if isinstance(judge, ConsensusJudge):
        each = labeling.judge_labels.groupby("judge")
        none = labeling.judge_labels.iloc[:0]
        parts = [each.get_group(name) if name in each.groups else none for name in judge.names]
        said = [_of_documents(pairs, part, judge.scale) for part in parts]
        grades, expected = (
            np.stack([one[name].to_numpy(np.float64, na_value=np.nan) for one in said], axis=1)
            for name in ("grade", "expected")
        )
        found[ALONE] = list(grades)
        found[ALONE_EXPECTED] = list(np.where(np.isnan(expected), grades, expected))
    return found, labeling.failures


def _of_documents(pairs: pd.DataFrame, labels: pd.DataFrame, scale: GradeScale) -> pd.DataFrame:
    """Grade, expected grade and probabilities of documents by the labels of their passages."""
    merged = pairs[[*KEY, "passage_id"]].merge(labels, on=["query_id", "passage_id"], how="left")
    values = scale.values.astype(np.float64)
    merged["expected"] = [
        float(np.dot(row, values)) if isinstance(row, Sequence | np.ndarray) else np.nan
        for row in merged["probabilities"]
    ]
    merged["grade"] = merged["grade"].astype("Float64")
    documents = best_of_passages(merged, ["grade", "expected"], ["probabilities"], by="expected")
    documents["grade"] = documents["grade"].astype("Int64")
    known = documents["expected"].notna()
    documents["probabilities"] = documents["probabilities"].where(known, None)
    return documents


def grade_with_base(
    encoder: UntrainedEncoder, pairs: pd.DataFrame, calibration: pd.DataFrame, scale: GradeScale
) -> pd.DataFrame:
    """Grades of the untrained base model.

    Returns:
        Columns query_id, document_id, base_grade (late interaction with fitted cut points),
        base_similarity (late interaction), base_cosine.
    """
    scores = encoder.scores(pairs)
    scores[KEY] = pairs[KEY]
    documents = best_of_passages(scores, ["late_interaction", "cosine"]).drop(columns="passages")
    fitted = encoder.scores(calibration)["late_interaction"].to_numpy()
    grades = ScoreGrades(fitted, calibration["grade"].to_numpy(dtype=np.int64), scale)
    documents["base_grade"] = grades(documents["late_interaction"].to_numpy())
    return documents.rename(
        columns={"late_interaction": "base_similarity", "cosine": "base_cosine"}
    )


def score_with_bm25(
    benchmark: Benchmark, pairs: pd.DataFrame, passages: pd.DataFrame, language: str
) -> pd.DataFrame:
    """BM25 over the benchmark's corpus, by the best passage: query_id, document_id, bm25."""
    corpus = passages
    rows = pairs[[*KEY, "query", "passage_id"]]
    if benchmark.documents is not None:
        corpus = benchmark.documents.assign(
            passage_id=benchmark.documents["document_id"], heading=""
        )
        rows = rows.assign(passage_id=rows["document_id"]).drop_duplicates(KEY)
    index = BM25Channel.build(corpus, language)
    parts = [
        part.assign(bm25=index.scores(str(part["query"].iloc[0]), part["passage_id"].tolist()))
        for _, part in rows.groupby("query_id", sort=False)
    ]
    return best_of_passages(pd.concat(parts), ["bm25"])[[*KEY, "bm25"]]


def calibration_pairs(
    labels: pd.DataFrame,
    splits: pd.DataFrame,
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    most: int,
    seed: int,
) -> pd.DataFrame:
    """At most `most` of the calibration split's pairs, as `pairs_of_split`."""
    pairs = pairs_of_split("calibration", labels, splits, queries, passages)
    return pairs.sample(min(most, len(pairs)), random_state=seed).sort_index()


def assemble(documents: pd.DataFrame, parts: Sequence[pd.DataFrame | None]) -> pd.DataFrame:
    """One table of all judges: a row a graded document, missing where a judge gave no grade."""
    table = documents
    for part in parts:
        if part is not None:
            table = table.merge(part, on=KEY, how="left", validate="one_to_one")
    return table.astype({name: "Int64" for name in table if str(name).endswith("_grade")})
