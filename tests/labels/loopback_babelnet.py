"""A small server on the loopback address that answers as BabelNet's HTTP API does, its bad days included."""

from __future__ import annotations

import gzip
import json
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY = "8c1f-secret/key+0001"
QUOTA = {
    "message": "Your key is not valid or the daily requests limit has been reached. Please visit http://babelnet.org."
}


def sense(
    lemma: str,
    language: str,
    source: str = "WIKI",
    synset: str = "bn:00000001n",
    lemma_type: str | None = None,
    kind: str = "BabelSense",
) -> dict[str, Any]:
    """Write one sense as BabelNet does."""
    properties: dict[str, Any] = {
        "fullLemma": lemma,
        "simpleLemma": lemma.split("_(")[0],
        "source": source,
        "senseKey": "1",
        "frequency": 0,
        "language": language,
        "pos": "NOUN",
        "synsetID": {"id": synset, "pos": "NOUN", "source": "BABELNET"},
        "translationInfo": "",
        "pronunciations": {"audios": [], "transcriptions": []},
        "bKeySense": False,
        "idSense": 1,
    }
    if lemma_type is not None:
        properties["lemma"] = {"lemma": lemma, "type": lemma_type}
    return {"type": kind, "properties": properties}


@dataclass
class LoopbackBabelNet:
    """The server: `with LoopbackBabelNet(synsets) as server: … server.url …`.

    Attributes:
      synsets: per WordNet id (`wn:02119789n`) its senses; another id has none.
      glosses: per WordNet id its glosses.
      version: what getVersion names.
      quota: calls allowed; None for no end.
      max_languages: target languages that one call answers; further ones are left out without a word.
      faults: what happens to the next calls, one each: a status number, `cut`, `reset`, `garbage`, `retry-after`,
        `redirect`, `list`, or None for a good answer.
    """

    synsets: dict[str, list[Any]]
    glosses: dict[str, list[Any]] = field(default_factory=dict)
    version: str = "V5_3"
    quota: int | None = None
    max_languages: int | None = None
    faults: Iterable[Any] = ()
    key: str = KEY
    calls: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    n_requests: int = 0

    def __enter__(self) -> LoopbackBabelNet:
        self._faults = deque(self.faults)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                outer._answer(self)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v9"

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        self.n_requests += 1
        fault = self._faults.popleft() if self._faults else None
        if fault == "reset":
            request.close_connection = True
            request.connection.close()
            return
        parts = urlsplit(request.path)
        asked = parse_qs(parts.query)
        if isinstance(fault, int):
            self._send(request, b"{}", status=fault)
        elif fault == "retry-after":
            self._send(request, b"", status=429, headers={"Retry-After": "7"})
        elif fault == "redirect":
            self._send(request, b"", status=302, headers={"Location": "http://127.0.0.1:9/"})
        elif fault == "garbage":
            self._send(request, b"<html>be right back</html>")
        elif fault == "list":
            self._send(request, b"[]")
        else:
            self._send(request, self._body(parts.path, asked), cut=fault == "cut")

    def _body(self, path: str, asked: dict[str, list[str]]) -> bytes:
        if asked.get("key") != [self.key] or (self.quota is not None and self.n_requests > self.quota):
            return json.dumps(QUOTA).encode()
        if path == "/v9/getVersion":
            return json.dumps({"version": self.version}).encode()
        synset, languages = asked["id"][0], asked.get("targetLang", [])
        self.calls.append((synset, tuple(languages)))
        answered = languages[: self.max_languages]
        kept = [raw for raw in self.synsets.get(synset, []) if not languages or self._is_for(raw, answered)]
        glosses = self.glosses.get(synset, [])
        body = {"senses": kept, "glosses": glosses, "filterLangs": answered or ["EN"], "translations": {}}
        return json.dumps(body, ensure_ascii=False).encode()

    @staticmethod
    def _is_for(raw: Any, languages: list[str]) -> bool:
        """Malformed senses are sent in every answer for English."""
        language = raw.get("properties", {}).get("language") if isinstance(raw, dict) else None
        return language in languages or (not isinstance(language, str) and "EN" in languages)

    @staticmethod
    def _send(
        request: BaseHTTPRequestHandler,
        body: bytes,
        status: int = 200,
        headers: dict[str, str] | None = None,
        cut: bool = False,
    ) -> None:
        request.send_response(status)
        if "gzip" in request.headers.get("Accept-Encoding", "") and not cut:
            body = gzip.compress(body)
            request.send_header("Content-Encoding", "gzip")
        request.send_header("Content-Length", str(len(body) + (50 if cut else 0)))
        for name, value in (headers or {}).items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)
        if cut:
            request.close_connection = True
