"""The settings of judges; apart from their classes, so that reading them is cheap."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from relevance_distillery.errors import UserError
from relevance_distillery.judges.base import KINDS, parse_judge
from relevance_distillery.llm.prices import Price
from relevance_distillery.llm.settings import LLMSettings
from relevance_distillery.strict import Intervals, Seed, StrictModel
from relevance_distillery.text.terms import StemmerLanguage

Target = Literal["accuracy", "cost", "agreement"]
Method = Literal["vote", "mean", "dawid_skene"]
MapKind = Literal["none", "single", "per_class"]

ENOUGH_EXAMPLES = 50
"""A grade that people gave less often than this takes the map of all grades together."""


class EmbeddedSettings(StrictModel):
    """How the embedded judge weighs its signals."""

    encoder: str = "bundled"
    """Sentence encoder with mean pooling; another one for another language."""
    max_length: int = Field(256, ge=8)
    """Tokens of a passage that the encoder reads; more costs time."""
    cosine_weight: float = Field(0.5, ge=0)
    """Weight of meaning; raise it where people paraphrase."""
    coverage_weight: float = Field(0.5, ge=0)
    """Weight of words; raise it where names and numbers matter."""
    seed_passage_bonus: float = Field(1.0, ge=0)
    """Added, in standard deviations, for the passage a query was written from."""
    seed_document_bonus: float = Field(0.25, ge=0)
    """Added for other passages of the document it was written from."""
    related_quantile: float = Field(0.99, gt=0, lt=1)
    """Share of random pairs that stay in the lowest grade; higher is stricter."""
    relevant_quantile: float = Field(0.25, gt=0, lt=1)
    """Share of seed pairs whose text falls below the first relevant grade."""
    perfect_quantile: float = Field(0.75, gt=0, lt=1)
    """The same below the highest grade."""
    sample: int = Field(1000, ge=20)
    """Seed pairs, and random pairs, that thresholds are read from."""


class LLMJudgeSettings(LLMSettings):
    """How an LLM grades, and what it may see."""

    prompts: int = Field(1, ge=1)
    """Wordings that each pair is asked in; the label is their mean."""

    examples: str | None = None
    """Few-shot examples: a CSV, TSV or JSONL file with query, text, grade, from validation data."""
    never_send: tuple[str, ...] = ()
    """Gitignore-style patterns of paths, or ids, of documents that stay here; their pairs are
    failures, `withheld`."""


class TransformersSettings(StrictModel):
    """A causal language model in this process."""

    model: str | None = Field(None, min_length=1)
    """A folder or a name on the Hugging Face hub."""
    batch_size: int = Field(8, ge=1)
    """Pairs read at once; larger suits a GPU, smaller saves memory."""
    max_tokens: int = Field(4096, ge=64)
    """Longest request; a longer one is a failure, never cut."""
    device: str = "auto"
    """A torch device; auto takes a GPU when there is one."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """`auto` is bf16 on a GPU and fp32 on a CPU."""


class CascadeSettings(StrictModel):
    """Which judges a cascade asks, and how its thresholds are chosen."""

    judges: str | None = None
    """Judges in the order in which they are asked, cheapest first, separated by `;`."""
    fitted: str | None = None
    """What the pipeline cascade fitted and judge=cascade uses; of a versioned file the newest."""
    target: Target = "agreement"
    """`agreement` (quadratic kappa) or `accuracy`: the cheapest thresholds that reach `value`;
    `cost`: those that agree best among all that cost at most `value`."""
    value: float | None = Field(None, ge=0)
    """The target: a kappa, a share, or a cost in units of the last judge's. Null for the last
    judge's own figure, or half of its cost."""
    map: MapKind = "per_class"
    """Map of probabilities: one isotonic function a grade, one for all, or none, to compare."""
    decision: Literal["auto", "own", "posterior"] = "auto"
    """Grade of a pair that leaves: the judge's own, or the calibrator's most probable one; auto
    chooses for each judge on the graded set."""
    folds: int = Field(5, ge=2)
    """Folds of queries for every choice; more is steadier and slower."""
    enough_examples: int = Field(ENOUGH_EXAMPLES, ge=2)
    """A grade that people gave less often takes the map of all grades."""

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.target != "cost" and self.value is not None and self.value > 1:
            raise ValueError(f"value={self.value:g}: no {self.target} is above 1")
        return self


class TokenEstimates(StrictModel):
    """What stands in for the tokens of labels that do not say how many they took."""

    prompt_tokens: int = Field(300, ge=0)
    """Tokens of the instructions."""
    output_tokens: int = Field(10, ge=0)
    """Tokens of an answer."""
    characters_per_token: float = Field(4.0, gt=0)
    """Turns the length of query and passage into tokens."""


class MeasurementSettings(TokenEstimates, Intervals):
    """How a cascade is priced and measured; its judges are set under labeling.cascade."""

    judges_usd_per_1000: str | None = None
    """Dollars for 1,000 answers of a judge without a price, as `NAME:USD;NAME:USD`; assumptions,
    says the report."""
    usd_per_hour: float = Field(0.1, ge=0)
    """Price of this machine, for judges that run on it."""


class ConsensusSettings(StrictModel):
    """How several judges become one."""

    judges: str | None = None
    """Whom judge=consensus asks, at least two, separated by `;`."""
    method: Method = "vote"
    """`vote`: the grade that most gave, among equals the last judge's; `mean`: of the grades, to
    the nearest grade; `dawid_skene`: weighs judges by how they agree."""
    min_answers: int = Field(2, ge=1)
    """A pair that fewer judges graded fails; more is stricter."""


def _known(name: str) -> str:
    try:
        parse_judge(name)
    except UserError as error:
        raise ValueError(str(error)) from error
    return name


class JudgeSettings(StrictModel):
    """Which judge grades, and the settings of every kind of judge."""

    # Checked here, so that a wrong name fails before any node.
    judge: Annotated[str, AfterValidator(_known)] = "embedded"
    """Who teaches, `KIND` or `KIND:MODEL`: see [judges](../pipelines/labeling.md#judges)."""
    language: StemmerLanguage = "english"
    """Stemmer of the embedded judge: ISO code or name; none for none."""
    embedded: EmbeddedSettings = EmbeddedSettings()
    """Settings of the embedded judge."""
    llm: LLMJudgeSettings = LLMJudgeSettings()
    """Settings of a judge behind an OpenAI-compatible API."""
    transformers: TransformersSettings = TransformersSettings()
    """Settings of a language model in this process."""
    cascade: CascadeSettings = CascadeSettings()
    """Which judges a cascade asks, and how it is fitted."""
    consensus: ConsensusSettings = ConsensusSettings()
    """Which judges a consensus asks, and how they are combined."""
    registered_name: str = "relevance-labeler"
    """Name in the registry that labeler:champion refers to."""
    prices: dict[str, Price] = Field(default_factory=dict)
    """What tokens cost, by model; from conf/base/globals.yml."""
    seed: Seed = 0
    """Of the pairs that the embedded judge is fitted on."""

    @model_validator(mode="after")
    def _prompts_of_an_llm(self) -> Self:
        if self.llm.prompts > 1 and not KINDS[parse_judge(self.judge).kind].several_prompts:
            raise ValueError(
                f"prompts={self.llm.prompts} is for judge=llm; judge={self.judge} takes no prompts"
            )
        return self


def judge_names(judges: str | None, where: str) -> tuple[str, ...]:
    """The names in a list that is separated by `;`; `where` is the judge that needs them.

    UserError for fewer than two, or one of them twice.
    """
    names = tuple(name.strip() for name in str(judges or "").split(";") if name.strip())
    if len(names) < 2:
        raise UserError(
            f'{where} needs at least two judges: --params="judges=FIRST;SECOND;LAST", in a cascade '
            "the cheapest first"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"{where}: judge {twice[0]} is named twice in judges; name it once")
    return names
