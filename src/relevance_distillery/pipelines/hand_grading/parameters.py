"""What people are asked to grade, and why one would turn it."""

from typing import Literal

from pydantic import Field

from relevance_distillery.people.sampling import Allocation, Design, Plan, Unit
from relevance_distillery.people.sheets import Format
from relevance_distillery.strict import Seed, StrictModel


class HandGradingParameters(StrictModel):
    """How a sample for people is drawn and handed out."""

    design: Design = "stratified"
    """All but active evaluate: uncertain draws what judges doubt more often, with known
    probabilities; active picks what they doubt most, to train."""
    unit: Unit = "pair"
    """`pair` is cheapest for agreement; ranking metrics need query, all pairs of one."""
    size: int = Field(200, ge=1)
    """Pairs, or queries with unit=query; people's time."""
    stratify_by: Literal["grade", "style", "grade+style"] = "grade"
    """The judge's grade finds the rare relevant pairs, the query's style makes every style
    measurable."""
    allocation: Allocation = "square_root"
    """`equal` measures every stratum alike, `proportional` the whole most simply, `square_root` is
    between the two."""
    most_per_query: int = Field(5, ge=1)
    """Of an uncertain sample, so that it spreads over queries."""
    doubt: Literal["entropy", "confidence", "disagreement"] = "entropy"
    """What counts as uncertain: entropy unsure judges and contradictions, confidence the best guess
    alone, disagreement contradictions alone."""
    doubters: str = ""
    """Further judges whose doubts count, separated by `;`, such as labeler:champion; asked
    through the ledger, an LLM at its price."""
    format: Format = "csv"
    """`csv` opens in a spreadsheet; quepid and trec are for those tools."""
    seed: Seed = 0
    """Another one draws another sample."""

    @property
    def plan(self) -> Plan:
        """The design as the sampler takes it."""
        return Plan(
            design=self.design,
            unit=self.unit,
            size=self.size,
            strata=tuple(self.stratify_by.split("+")) if self.design == "stratified" else (),
            allocation=self.allocation,
            seed=self.seed,
            most_per_query=self.most_per_query,
        )
