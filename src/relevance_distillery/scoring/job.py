"""Grade a file of pairs: what an interrupted run left is kept, the rest is graded and joined."""

import logging
import time
from functools import partial
from itertools import chain, islice
from typing import Any

from relevance_distillery.errors import UserError
from relevance_distillery.executors.execution import Executor
from relevance_distillery.io.progress import Progress
from relevance_distillery.scoring.graders import Grader
from relevance_distillery.scoring.pairs_file import PairsFile, ScoringOutput
from relevance_distillery.scoring.parts import LISTED, ScoredParts
from relevance_distillery.scoring.second_pass import grade_again, labeler_of, look_at_shard
from relevance_distillery.scoring.shards import Watch, grade_shard

logger = logging.getLogger(__name__)


def score_file(
    pairs: PairsFile,
    grader: Grader,
    output: ScoringOutput,
    watch: Watch | None = None,
    executor: Executor = map,
    second_pass: bool = False,
) -> dict[str, Any]:
    """Write the same rows, in order, with their grades.

    Every shard of 2,048 rows becomes a part in `FILE.parts/`, beside a manifest of input and
    grader. A run that was killed is resumed with the shards that have no part yet, whichever
    these are; the joined file appears under its name only when it is complete.

    Args:
        pairs: What to grade.
        grader: A labeler or a judge.
        output: Where graded pairs go, and qrels if any are wanted.
        watch: Follows the shards, in any order.
        executor: Grades the shards that are missing.
        second_pass: Grade again by query what has enough passages, see `learning.second_pass`.

    Returns:
        What the watch concludes.

    Raises:
        UserError: Bad names or columns, a grader without a second pass, or not one pair could be
            graded.
    """
    output.check(pairs)
    labeler = labeler_of(grader) if second_pass else None
    grade = partial(look_at_shard, labeler) if labeler else partial(grade_shard, grader)
    path, qrels = output.path, output.qrels_path(pairs)
    watch = watch or Watch()
    parts = ScoredParts(path, pairs, grader, 2 if second_pass else 1)
    finished = parts.finished()
    before = sum(fact["rows"] for fact in parts.facts())
    if finished:
        logger.info("resuming: %d of %d parts are done", len(finished), parts.expected)
    started = time.perf_counter()
    try:
        with Progress(pairs.rows, f"judge {grader.name}", done=before) as progress:
            for graded in executor(grade, pairs.shards(skip=finished)):
                parts.write(graded, watch.observe(graded))
                progress.advance(len(graded.grades))
    finally:
        parts.drop_if_none()
    seconds = max(time.perf_counter() - started, 1e-9)
    facts = parts.facts()
    total = sum(fact["rows"] for fact in facts)
    failed = sum(fact["failed"] for fact in facts)
    reasons = list(islice(chain.from_iterable(fact["reasons"] for fact in facts), LISTED))
    if total and failed == total:
        raise UserError(f"{pairs.name}: none of {total} pairs could be graded; {reasons[0]}")
    if labeler:
        grade_again(labeler, pairs, parts)
    if qrels is not None:
        parts.write_qrels(qrels)
    conclusion = watch.conclude([fact["watch"] for fact in facts])
    parts.join()
    if failed:
        reasons += ["…"] * (failed > LISTED)
        logger.warning("%d of %d pairs got no grade: %s", failed, total, "; ".join(reasons))
    if "line" in conclusion:
        logger.info("%s", conclusion["line"])
    fresh = total - before
    resumed = f" ({before} more from before the interruption)" if before else ""
    speed = f"{seconds:.1f} s, {fresh / seconds:.1f} pairs/s"
    logger.info("scored %d pairs%s in %s → %s", fresh, resumed, speed, path)
    return conclusion
