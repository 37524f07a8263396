"""What every section of the campaign file is made of: frozen, unknown keys refused, and checks that span several keys."""

from __future__ import annotations

from typing import Annotated, NoReturn

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
MetricName = Annotated[str, Field(pattern=r"^[^\s:=]+$")]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


def refuse(loc: tuple[str | int, ...], message: str) -> NoReturn:
    """Fail a check that spans several keys, in the name of the key `loc` (relative to the section that checks)."""
    raise PydanticCustomError("refused", "{message}", {"message": message, "at": loc})
