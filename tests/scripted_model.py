"""A model that says what a test wants: an OpenAI-compatible server on loopback, real HTTP and real faults."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Say:
    """An answer, with what it used."""

    text: str | None
    prompt_tokens: int = 1000
    completion_tokens: int = 500
    delay_s: float = 0.0
    finish: str = "stop"
    usage: bool = True


@dataclass(frozen=True)
class Fail:
    status: int
    message: str = "scripted fault"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Raw:
    """Any bytes as the body of a 200; `cut`: the connection dies before the last of the bytes that were announced."""

    body: bytes
    cut: bool = False


@dataclass(frozen=True)
class Hang:
    """Nothing is ever answered."""


Reply = Say | Fail | Raw | Hang
Script = Callable[[str, int], Reply]  # the last message of the prompt, and how many requests came before


class ScriptedModel:
    """`with ScriptedModel(script) as model: model.url`. `requests` holds the body of every one that came."""

    def __init__(self, script: Script) -> None:
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.answered = 0
        self._script = script
        self._released = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> ScriptedModel:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()

    def prompts(self) -> list[str]:
        """All that each request said, roles left out."""
        return ["\n".join(message["content"] for message in request["messages"]) for request in self.requests]

    def _take(self, body: dict[str, Any], key: str | None) -> Reply:
        with self._lock:
            nth = len(self.requests)
            self.requests.append(body)
            self.keys.append(key)
            return self._script(body["messages"][-1]["content"], nth)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                reply = outer._take(body, self.headers.get("Authorization"))
                match reply:
                    case Hang():
                        outer._released.wait(60)
                        self.close_connection = True
                    case Fail():
                        error = {"error": {"message": reply.message, "type": "scripted", "code": reply.status}}
                        self._send(reply.status, json.dumps(error).encode(), reply.headers)
                    case Raw():
                        self._send(200, reply.body, {}, announced=len(reply.body) + (1000 if reply.cut else 0))
                        self.close_connection = True
                    case Say():
                        outer._released.wait(reply.delay_s)
                        self._send(200, json.dumps(completion(body["model"], reply)).encode(), {})
                        outer.answered += 1

            def _send(self, status: int, body: bytes, headers: dict[str, str], announced: int | None = None) -> None:
                try:
                    self.send_response(status)
                    for name, value in {"Content-Type": "application/json", **headers}.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(body) if announced is None else announced))
                    self.end_headers()
                    self.wfile.write(body)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True  # who asked has gone: killed, or out of patience

            def log_message(self, *_: object) -> None:
                """Quiet."""

        return Handler


def completion(model: str, say: Say) -> dict[str, Any]:
    total = say.prompt_tokens + say.completion_tokens
    usage = {"prompt_tokens": say.prompt_tokens, "completion_tokens": say.completion_tokens, "total_tokens": total}
    message = {"role": "assistant", "content": say.text}
    return {
        "id": "scripted",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": say.finish}],
    } | ({"usage": usage} if say.usage else {})


def candidate(path: str, search: str, replace: str, hypothesis: str = "an idea", family: str = "schedule") -> str:
    """An answer with one candidate, in the form that is asked for."""
    return (
        f"HYPOTHESIS: {hypothesis}\nEXPECTED: -0.1\nFAMILY: {family}\n\n"
        f"{path}\n<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n"
    )
