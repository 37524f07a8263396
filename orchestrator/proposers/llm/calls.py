"""One call to a model, through litellm: fallbacks, retries with backoff, rate limits, time-outs, any `api_base`.

litellm is imported when a campaign has an `llm` proposer and not before. Keys come from the environment as litellm reads them.
What can be known before anything is spent (a name that litellm does not know, a key that is missing, a price that nobody knows)
is a `ConfigError` of `check`; what goes wrong later is a `CallError`, in one line and without secrets.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
import warnings
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.config_text import ConfigError
from orchestrator.proposers.llm import faults
from orchestrator.proposers.llm.addresses import is_private
from orchestrator.proposers.llm.money import Price, tokens_in
from orchestrator.proposers.llm.record import Message, Reply
from orchestrator.proposers.redaction import Redaction
from orchestrator.views.plain import one_line

if TYPE_CHECKING:
    from orchestrator.config import Llm

REASON_CHARS = 300
MINUTE_S = 60.0
ROUTE = "asked first"  # the router's name for the entry's own model
# Servers of one's own, which charge nothing and ask for no key; their address has a default.
LOCAL = frozenset({"ollama", "ollama_chat", "hosted_vllm", "vllm", "lm_studio", "llamafile", "docker_model_runner"})
# Clouds that find credentials in more places than the environment: whether they are there, the first call says.
CLOUDS = frozenset({"bedrock", "bedrock_converse", "sagemaker", "sagemaker_chat", "vertex_ai", "vertex_ai_beta"})
_ANSWER_SLACK_S = 30.0  # beyond what litellm's own time-outs and waits add up to


class CallError(Exception):
    """No model answered. `permanent`: trying again is no use before a person has mended something."""

    def __init__(self, reason: str, *, permanent: bool = False, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.permanent = permanent
        self.retry_after_s = retry_after_s


class Caller(Protocol):
    async def call(self, messages: Sequence[Message]) -> Reply:
        """One answer. Raises `CallError`."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What is known of an entry's models before the first call."""

    prices: dict[str, Price]  # by model, in the order they are asked
    notes: tuple[str, ...] = ()


def load_litellm() -> ModuleType:
    """litellm, made quiet: it fetches nothing at import, prints nothing, and phones nobody."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    os.environ.setdefault("LITELLM_LOG", "ERROR")
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")  # else it takes whatever .env lies about into the environment
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import litellm
    warnings.filterwarnings("ignore", category=UserWarning, module=r"pydantic\.")  # about litellm's own types, as they are used
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    litellm.drop_params = True  # a model that knows no temperature is asked without one
    litellm.disable_aiohttp_transport = True  # httpx closes what it opened
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "httpx", "openai"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    module: ModuleType = litellm
    _priced(module)
    return module


def models_of(entry: Llm) -> tuple[str, ...]:
    return (entry.model or "", *entry.fallbacks)


def check(entry: Llm, key: str, environment: Mapping[str, str]) -> Checked:
    """`key`: where the entry stands in the config, such as `proposers[0]`. Raises `ConfigError`."""
    litellm = load_litellm()
    problems: list[str] = []
    notes: list[str] = []
    prices: dict[str, Price] = {}
    for index, model in enumerate(models_of(entry)):
        at = f"{key}.model" if index == 0 else f"{key}.fallbacks[{index - 1}]"
        api_base = entry.api_base if index == 0 else None
        provider = _provider(litellm, model, api_base)
        if provider is None:
            problems.append(f"{at}: given {model!r}, which litellm does not know{_close(litellm, model)}")
            continue
        missing = _missing_keys(litellm, model, provider, api_base, environment)
        if missing:
            problems.append(_say_missing(at, model, missing, api_base))
        price = _price(litellm, entry, model, index)
        if price is None and not (provider in LOCAL or is_private(api_base)):
            problems.append(
                f"{key}.price: {model}: litellm knows no price; give price: {{input_per_mtok: …, output_per_mtok: …}} in "
                f"dollars for a million tokens (0 where it is free), or mend the model's name{_close(litellm, model)}"
            )
        elif price is None:
            notes.append(f"{model}: litellm knows no price and the config gives none; it is counted as free")
        prices[model] = price or Price()
    if problems:
        raise ConfigError(problems)
    return Checked(prices, tuple(notes))


def _provider(litellm: ModuleType, model: str, api_base: str | None) -> str | None:
    import contextlib
    import io

    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints a list of providers
            _, provider, _, _ = litellm.get_llm_provider(model, api_base=api_base)
    except litellm.exceptions.BadRequestError:
        return None
    return str(provider)


def _close(litellm: ModuleType, model: str) -> str:
    found = get_close_matches(model, list(litellm.model_cost), n=1, cutoff=0.6)
    if found:
        return f"; did you mean {found[0]}?"
    return "; give provider/model, such as anthropic/claude-sonnet-4-5, or openai/NAME with api_base"


def _missing_keys(
    litellm: ModuleType, model: str, provider: str, api_base: str | None, environment: Mapping[str, str]
) -> list[str]:
    if provider in CLOUDS or provider in LOCAL:
        return []
    found = litellm.validate_environment(model)
    missing = [name for name in found["missing_keys"] if not environment.get(name)]
    if api_base is not None:
        missing = [name for name in missing if not name.endswith(("_API_BASE", "_BASE_URL"))]
    return [] if found["keys_in_environment"] else missing


def _say_missing(at: str, model: str, missing: Sequence[str], api_base: str | None) -> str:
    said = f"{at}: {model} needs {' and '.join(missing)} in the environment; type: export {missing[0]}=…"
    if api_base is not None and is_private(api_base):
        said += (
            f" (export {missing[0]}=none where your server asks for no key; hosted_vllm/NAME and ollama_chat/NAME need none)"
        )
    return said


def _price(litellm: ModuleType, entry: Llm, model: str, index: int) -> Price | None:
    if entry.price is not None and index == 0:
        return Price(entry.price.input_per_mtok, entry.price.output_per_mtok)
    try:
        info = litellm.get_model_info(model)
    except Exception:  # noqa: BLE001  litellm raises a bare Exception for a model that it has no price of
        return None
    if info.get("key") not in _priced(litellm):  # made up from the provider's name alone
        return None
    return Price((info.get("input_cost_per_token") or 0.0) * 1e6, (info.get("output_cost_per_token") or 0.0) * 1e6)


@cache
def _priced(litellm: ModuleType) -> frozenset[str]:
    """The models that litellm came with: a router adds those that it is given, at no price."""
    return frozenset(litellm.model_cost)


class Models:
    """The models of one entry, asked in order until one answers. Used in one event loop."""

    def __init__(self, entry: Llm, prices: Mapping[str, Price], redaction: Redaction) -> None:
        self._entry = entry
        self._prices = prices
        self._redaction = redaction
        self._router: Any = None
        self._models = models_of(entry)
        self._begun: deque[float] = deque()  # when the requests of the last minute began
        self._turn = asyncio.Lock()

    @property
    def patience_s(self) -> float:
        """After which a call is given up whatever litellm is waiting for: a server may trickle for ever."""
        one = self._entry.timeout_s * (1 + self._entry.retries) + 60.0 * self._entry.retries
        return one * len(self._models) + _ANSWER_SLACK_S

    async def call(self, messages: Sequence[Message]) -> Reply:
        litellm = load_litellm()
        if self._router is None:
            self._router = self._made(litellm)
        await self._within_the_rate()
        began = time.monotonic()
        try:
            async with asyncio.timeout(self.patience_s):
                response = await self._router.acompletion(
                    model=ROUTE, messages=[{"role": m.role, "content": m.content} for m in messages]
                )
        except TimeoutError:
            raise CallError(f"{self._models[0]}: no answer in {self.patience_s:g} s") from None
        except Exception as error:  # noqa: BLE001  the edge to another library: whatever it raises means that no model answered
            raise self._explained(error) from None
        return self._reply(litellm, response, messages, time.monotonic() - began)

    async def _within_the_rate(self) -> None:
        """Wait until another request may begin; retries and fallbacks of litellm's are not counted."""
        most = self._entry.requests_per_minute
        if most is None:
            return
        async with self._turn:
            while len(self._begun) >= most and time.monotonic() - self._begun[0] < MINUTE_S:
                await asyncio.sleep(MINUTE_S - (time.monotonic() - self._begun[0]))
            while len(self._begun) >= most:
                self._begun.popleft()
            self._begun.append(time.monotonic())

    def _made(self, litellm: ModuleType) -> Any:
        entry = self._entry
        common: dict[str, Any] = {"max_tokens": entry.max_tokens, "timeout": entry.timeout_s, "max_retries": 0}
        if entry.temperature is not None:
            common["temperature"] = entry.temperature
        names = [ROUTE, *(f"fallback {n}" for n in range(1, len(self._models)))]
        deployments = []
        for index, (name, model) in enumerate(zip(names, self._models, strict=True)):
            own = dict(common) | {"model": model}
            if index == 0 and entry.api_base is not None:
                own["api_base"] = entry.api_base
            deployments.append({"model_name": name, "litellm_params": own, "model_info": {"id": model}})
        behind = [{ROUTE: names[1:]}] if len(names) > 1 else []
        return litellm.Router(
            model_list=deployments,
            fallbacks=behind,
            context_window_fallbacks=behind,
            content_policy_fallbacks=behind,
            num_retries=entry.retries,
            timeout=entry.timeout_s,
            disable_cooldowns=True,  # how long to leave a model alone is decided by the proposer, who tells a person
        )

    def _reply(self, litellm: ModuleType, response: Any, messages: Sequence[Message], wall_s: float) -> Reply:
        choice = response.choices[0] if response.choices else None
        message = getattr(choice, "message", None)
        text = getattr(message, "content", None) or getattr(message, "refusal", None) or ""
        text = self._redaction.of(str(text).encode("utf-8", "replace").decode("utf-8"))
        model = str(response._hidden_params.get("model_id") or self._models[0])
        usage = getattr(response, "usage", None)
        sent, written = (int(getattr(usage, name, 0) or 0) for name in ("prompt_tokens", "completion_tokens"))
        if not sent:  # a server that does not count: rather too much than too little
            sent, written = tokens_in(sum(len(m.content) for m in messages)), tokens_in(len(text))
        usd = self._usd(litellm, response, model, sent, written)
        reason = getattr(choice, "finish_reason", None)
        return Reply(text, model, sent, written, usd, wall_s, str(reason) if reason else None, time.time())

    def _usd(self, litellm: ModuleType, response: Any, model: str, sent: int, written: int) -> float:
        """At the config's price where it has one; else litellm's own sum, which knows what cached tokens cost."""
        if not (self._entry.price is not None and model == self._models[0]):
            try:
                return float(litellm.completion_cost(completion_response=response, model=model))
            except Exception:  # noqa: BLE001  litellm raises many kinds where it cannot tell; tokens and price remain
                pass
        return self._prices.get(model, Price()).usd(sent, written)

    def _explained(self, error: Exception) -> CallError:
        reason = one_line(self._redaction.of(faults.in_words(error, self._models, self._entry.api_base)), REASON_CHARS)
        asked = [_seconds(headers.get("retry-after")) for headers in _headers(error)]
        after = next((seconds for seconds in asked if seconds is not None), None)
        return CallError(reason, permanent=faults.is_permanent(error), retry_after_s=after)


def _headers(error: BaseException) -> list[Mapping[str, str]]:
    """What the server sent with its refusal: litellm keeps it in one of two places, or with the error that it wraps."""
    found = [getattr(error, "litellm_response_headers", None), getattr(getattr(error, "response", None), "headers", None)]
    wrapped = error.__cause__ or error.__context__
    return [headers for headers in found if headers] + (_headers(wrapped) if wrapped is not None else [])


def _seconds(text: str | None) -> float | None:
    try:
        return max(0.0, float(text)) if text else None
    except ValueError:
        return None
