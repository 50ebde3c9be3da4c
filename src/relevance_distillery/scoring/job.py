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
from relevance_distillery.scoring.shards import Watch, grade_shard

logger = logging.getLogger(__name__)


def score_file(
    pairs: PairsFile,
    grader: Grader,
    output: ScoringOutput,
    watch: Watch | None = None,
    executor: Executor = map,
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

    Returns:
        What the watch concludes.

    Raises:
        UserError: Bad names or columns, or not one pair could be graded.
    """
    output.check(pairs)
    path, qrels = output.path, output.qrels_path(pairs)
    watch = watch or Watch()
    parts = ScoredParts(path, pairs, grader)
    finished = parts.finished()
    before = sum(fact["rows"] for fact in parts.facts())
    if finished:
        logger.info("resuming: %d of %d parts are done", len(finished), parts.expected)
    started = time.perf_counter()
    try:
        with Progress(pairs.rows, f"judge {grader.name}", done=before) as progress:
            for graded in executor(partial(grade_shard, grader), pairs.shards(skip=finished)):
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
