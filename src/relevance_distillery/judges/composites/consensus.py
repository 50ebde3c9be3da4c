"""Several judges, or one with several prompts, as one: vote, mean, or Dawid and Skene."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.composites.answers import (
    Answers,
    Floats,
    Places,
    joint_hash,
    majority,
)
from relevance_distillery.judges.composites.panel import (
    Panel,
    Session,
    prepare_inner,
    restore_inner,
)
from relevance_distillery.judges.registry import JudgeSources, RegisteredJudge, State
from relevance_distillery.judges.settings import ConsensusSettings, Method, judge_names

_ITERATIONS = 500
_TOLERANCE = 1e-9
_TINY = 1e-12


class ConsensusJudge(Panel):
    """Asks all of its judges and combines what they say."""

    name = "consensus"

    def __init__(
        self, judges: Sequence[RegisteredJudge], settings: ConsensusSettings, scale: GradeScale
    ) -> None:
        """UserError for fewer than two judges, or fewer than must answer."""
        least = max(2, settings.min_answers)
        if len(judges) < least:
            raise UserError(
                f"judge=consensus has {len(judges)} judges and needs at least {least}: "
                "judges=NAME;NAME;…"
            )
        super().__init__(judges, scale)
        self._settings = settings
        self.model = " + ".join(self.names)
        own = (f"{judge.name}\t{judge.model}\t{judge.prompt_hash}" for judge in judges)
        self.prompt_hash = joint_hash([settings.method, str(settings.min_answers), *own])[:16]

    @classmethod
    def prepare(cls, model: str, sources: JudgeSources) -> Self:
        """Prepare the judges that the settings name."""
        settings = sources.settings.consensus
        names = judge_names(settings.judges, "judge=consensus")
        return cls(prepare_inner(names, cls.name, sources), settings, sources.scale)

    def to_state(self) -> State:
        """The settings, and the states of the judges."""
        return {
            "judge": self.name,
            "scale_hash": self.scale.digest,
            "settings": self._settings.model_dump(mode="json"),
            "stages": [judge.to_state() for judge in self.judges],
        }

    @classmethod
    def restore(cls, state: State, sources: JudgeSources) -> Self:
        """The consensus that wrote `state`."""
        judges = restore_inner(state["stages"], sources)
        return cls(judges, ConsensusSettings.model_validate(state["settings"]), sources.scale)

    def decide(self, session: Session) -> tuple[Places, Floats, dict[str, Any]]:
        """Ask all judges about all pairs and combine their answers.

        Dawid and Skene's method learns from the pairs that are labelled together, so with it a
        pair's grade depends on the others. Probabilities are shares of votes (a judge that gives
        probabilities votes with them), or those of the model of Dawid and Skene.
        """
        answers = [session.ask(number) for number in range(len(self.judges))]
        enough = sum(answer.given.astype(int) for answer in answers) >= self._settings.min_answers
        usable = np.asarray(enough) & ~session.waiting
        places, chances, facts = combine(
            [answer.rows(usable) for answer in answers], self._settings.method, self.scale
        )
        joint = np.full(len(usable), -1, dtype=np.int64)
        probabilities = np.full((len(usable), self.scale.size), np.nan)
        joint[usable], probabilities[usable] = places, chances
        facts = {"method": self._settings.method, "judges": self.names, **facts}
        return joint, probabilities, facts


def combine(
    answers: Sequence[Answers], method: Method, scale: GradeScale
) -> tuple[Places, Floats, dict[str, Any]]:
    """One grade from the answers of several judges, every pair graded by at least one.

    Returns:
        Places on the scale, shape (pairs,); probabilities, shape (pairs, grades); and facts
        for the report: each judge's matrix of errors for `dawid_skene`.
    """
    shares = _shares(answers, scale.size)
    if method == "vote":
        return majority(answers, scale.size), shares, {}
    places = np.stack([answer.places for answer in answers])
    if method == "mean":
        values = np.where(places >= 0, scale.values[np.maximum(places, 0)], 0)
        mean = values.sum(axis=0) / np.maximum((places >= 0).sum(axis=0), 1)
        # Half-way between two grades the lower one counts: most pairs of a pool are irrelevant.
        apart = np.abs(mean[:, None] - scale.values[None, :])
        return np.round(apart, 9).argmin(axis=1).astype(np.int64), shares, {}
    if not places.shape[1]:
        return np.zeros(0, dtype=np.int64), shares, {}
    model = fit_dawid_skene(places, scale.size)
    facts = {
        "prior": np.round(model.prior, 4).tolist(),
        "errors": np.round(model.errors, 4).tolist(),
        "iterations": model.iterations,
    }
    return model.posterior.argmax(axis=1).astype(np.int64), model.posterior, facts


def _shares(answers: Sequence[Answers], size: int) -> Floats:
    """The mean of the judges' probabilities, a grade without any counting as certain."""
    total = np.zeros((len(answers[0]), size))
    for answer in answers:
        vote = answer.votes(size)
        if answer.probabilities is not None:
            own = np.nan_to_num(answer.probabilities)
            vote = np.where(answer.has_probabilities[:, None], own, vote)
        total += vote
    return total / np.maximum(total.sum(axis=1, keepdims=True), 1e-12)


@dataclass(frozen=True)
class DawidSkene:
    """Grades and error rates of several judges at once, without known grades.

    Dawid and Skene (1979): each judge has its own matrix of errors, each pair its own true grade;
    expectation-maximisation finds both from the judges' agreement alone.

    Attributes:
        posterior: Probability of each true grade, shape (pairs, grades).
        prior: Share of each grade, shape (grades,).
        errors: Share of each grade that a judge gives to each true grade, shape (judges, true,
            given).
    """

    posterior: Floats
    prior: Floats
    errors: Floats
    log_likelihood: float
    iterations: int


def fit_dawid_skene(places: Places, size: int, smoothing: float = 0.01) -> DawidSkene:
    """Fit by expectation-maximisation, starting from the shares of votes.

    `places` are the judges' grades on the scale of `size` grades, -1 for none, shape (judges,
    pairs); every pair has at least one. To every cell of a judge's matrix `smoothing` pairs are
    added, so that an unseen error is not impossible; 0 for the method as published.
    """
    given = places >= 0
    if not given.any(axis=0).all():
        raise ValueError("every pair needs a grade by at least one judge")
    votes = (places[:, :, None] == np.arange(size)[None, None, :]).astype(np.float64)
    posterior = votes.sum(axis=0)
    posterior /= posterior.sum(axis=1, keepdims=True)
    likelihood, iterations = -np.inf, 0
    while iterations < _ITERATIONS:
        iterations += 1
        prior = posterior.mean(axis=0)
        errors = np.einsum("pt,jps->jts", posterior, votes) + smoothing
        errors /= np.maximum(errors.sum(axis=2, keepdims=True), _TINY)
        logs = np.log(np.maximum(prior, _TINY))[None, :] + np.einsum(
            "jps,jts->pt", votes, np.log(np.maximum(errors, _TINY))
        )
        highest = logs.max(axis=1, keepdims=True)
        raised = np.exp(logs - highest)
        total = raised.sum(axis=1, keepdims=True)
        posterior = raised / total
        before, likelihood = likelihood, float((highest + np.log(total)).sum())
        if likelihood - before < _TOLERANCE * max(1.0, abs(likelihood)):
            break
    return DawidSkene(posterior, prior, errors, likelihood, iterations)
