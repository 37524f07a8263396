"""The section `objective` of the campaign file: the number that decides, what bounds it, the front that is shown beside it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from orchestrator.config_section import Finite, MetricName, NotNegative, Positive, Section, refuse
from orchestrator.config_text import shown
from workers.trial import Product


def _not_zero(power: float) -> float:
    if power == 0:
        raise ValueError("given 0; a power other than 0 (below 0 for a metric that should be large)")
    return power


def _several(metrics: Any) -> Any:
    if len(metrics) < 2:
        raise ValueError(f"given {shown(metrics)}; two metrics or more (for one alone: objective.metric)")
    return metrics


def _front_of_several(metrics: Any) -> Any:
    if len(metrics) == 1:
        raise ValueError(f"given {next(iter(metrics[0]))} alone; two metrics or more, for instance [latency_us, energy_mj]")
    return metrics


def _with_direction(metric: object) -> object:
    """A metric alone is to be small."""
    if isinstance(metric, str):
        return {metric: "minimize"}
    if not isinstance(metric, dict) or len(metric) != 1:
        raise ValueError(f"given {shown(metric)}; a metric, or one with its direction: {{tokens_per_s: maximize}}")
    return metric


Direction = Literal["minimize", "maximize"]
Power = Annotated[Finite, AfterValidator(_not_zero)]
Powers = Annotated[dict[MetricName, Power], AfterValidator(_several)]
FrontMetric = Annotated[dict[MetricName, Direction], BeforeValidator(_with_direction)]  # of one item


class Constraint(Section):
    """What a candidate must keep to: absolute (`max`, `min`) or relative to its champion (`max_ratio`, `min_ratio`)."""

    max: Finite | None = None
    min: Finite | None = None
    max_ratio: Positive | None = None
    min_ratio: Positive | None = None

    @model_validator(mode="after")
    def _says_something_possible(self) -> Constraint:
        if self.max is self.min is self.max_ratio is self.min_ratio is None:
            refuse((), "says nothing; give at least one of max, min, max_ratio, min_ratio")
        if self.min is not None and self.max is not None and self.min > self.max:
            refuse(("min",), f"given {self.min}; at most max, which is {self.max}")
        if self.min_ratio is not None and self.max_ratio is not None and self.min_ratio > self.max_ratio:
            refuse(("min_ratio",), f"given {self.min_ratio}; at most max_ratio, which is {self.max_ratio}")
        return self


class Objective(Section):
    """`metric`, or `product` in its place, decides; `constraints` bound what is kept; nothing is decided by the `front`."""

    metric: MetricName | None = None
    product: Powers | None = None  # metric: power
    direction: Direction = "minimize"
    constraints: dict[MetricName, Constraint] = Field(default_factory=dict)
    front: Annotated[tuple[FrontMetric, ...], Field(strict=False), AfterValidator(_front_of_several)] = ()
    target: Finite | None = None
    noninferiority_margin: NotNegative = 0.0  # in its own units

    @property
    def name(self) -> str:
        """The metric that decides, as the worker names it."""
        product = self.as_product
        return self.metric or "" if product is None else product.name

    @property
    def as_product(self) -> Product | None:
        return None if self.product is None else Product(tuple(self.product.items()))

    @property
    def parts(self) -> tuple[str, ...]:
        """The metrics that it is made of: itself, unless it is a product."""
        product = self.as_product
        return (self.name,) if product is None else product.metrics

    @property
    def beside(self) -> tuple[str, ...]:
        """Metrics that decide nothing by themselves but bound the champion or are shown beside it."""
        return tuple(dict.fromkeys([*self.constraints, *(metric for metric, _ in self.front_metrics)]))

    @property
    def front_metrics(self) -> tuple[tuple[str, Direction], ...]:
        return tuple(item for each in self.front for item in each.items())

    @model_validator(mode="after")
    def _is_one_number(self) -> Objective:
        if self.metric is None and self.product is None:
            refuse(("metric",), "is missing; the metric that decides, or in its place product: {latency_us: 1, energy_mj: 1}")
        if self.metric is not None and self.product is not None:
            refuse(("product",), f"given beside objective.metric, {self.metric}; only one can decide: remove the other")
        return self

    @model_validator(mode="after")
    def _front_names_each_metric_once_and_its_direction_well(self) -> Objective:
        seen = set()
        for nth, (metric, direction) in enumerate(self.front_metrics):
            if metric in seen:
                refuse(("front", nth), f"given {metric} twice; each metric once")
            if metric == self.name and direction != self.direction:
                is_to_be = f"objective.direction is {self.direction}; write {{{metric}: {self.direction}}}"
                refuse(("front", nth), f"given {metric}, to {direction}; {is_to_be}")
            seen.add(metric)
        return self
