"""The connection to BabelNet's HTTP API: retries with back-off, errors told apart, the key in no message."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from urllib.parse import quote, quote_plus, urlsplit

import requests

from babel_imagenet_dataset.babelnet_answers import error_message

PUBLIC_URL = "https://babelnet.io/v9"
MAX_WAIT_S = 60.0
_QUOTA_WORDS = ("daily requests limit", "key is not valid")


class QuotaError(RuntimeError):
    """No further call is allowed today, or the key is not valid: BabelNet answers both alike."""


class BabelNetClient:
    """Ask BabelNet, or a server that speaks as it does.

    Args:
      key: the API key; it goes to the server with each call and into no message.
      base_url: the API's address, version included.
      attempts: how often a call is tried before it is given up.
      timeout_s: seconds without a byte after which a try has failed.
      sleep: what waits between tries.
    """

    def __init__(
        self,
        key: str,
        base_url: str = PUBLIC_URL,
        attempts: int = 6,
        timeout_s: float = 60.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not key.strip():
            raise ValueError(
                "no BabelNet key: set BABELNET_KEY. A free one, for research, comes with an account on babelnet.org"
            )
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.username:
            raise ValueError(f"the base URL must be http(s)://HOST/VERSION without a user name, got {base_url!r}")
        if attempts < 1:
            raise ValueError(f"attempts must be at least 1, got {attempts}")
        self._key = key.strip()
        self.base_url = base_url.rstrip("/")
        self._attempts = attempts
        self._timeout_s = timeout_s
        self._sleep = sleep
        self._session = requests.Session()

    def version(self, before_try: Callable[[], None] = lambda: None) -> str:
        """Give the version of BabelNet behind the server, e.g. `V5_3`; errors are those of `synset`."""
        answer = json.loads(self._get("getVersion", [], before_try))
        version = answer.get("version") if isinstance(answer, dict) else answer
        if not isinstance(version, str):
            raise ValueError(f"{self.base_url}/getVersion named no version: {str(answer)[:200]}")
        return version

    def synset(
        self, synset_id: str, languages: Sequence[str] = (), before_try: Callable[[], None] = lambda: None
    ) -> str:
        """Give the raw answer for one synset: JSON, checked to be an object and no error.

        Args:
          synset_id: `wn:02119789n` or `bn:00005054n`.
          languages: BabelNet's codes to answer in; none leaves the choice to the server.
          before_try: called before each try; what it raises ends the call.

        Raises:
          QuotaError: no call is left today, or the key is not valid.
          ConnectionError: the server stayed out of reach, failed, or answered no JSON, through all tries.
          ValueError: the server refused the request, or answered JSON that is no object.
        """
        parameters = [("id", synset_id), *(("targetLang", code) for code in languages)]
        text = self._get("getSynset", parameters, before_try)
        if not isinstance(json.loads(text), dict):
            raise ValueError(self._without_key(f"getSynset of {synset_id} answered no JSON object: {text[:100]!r}"))
        return text

    def _get(self, path: str, parameters: list[tuple[str, str]], before_try: Callable[[], None]) -> str:
        reason = ""
        for attempt in range(self._attempts):
            before_try()
            response, reason = self._try(path, parameters)
            if response is not None and not reason:
                return response.content.decode("utf-8")
            if attempt + 1 < self._attempts:
                self._sleep(_wait_s(attempt, response))
        raise ConnectionError(
            f"{self.base_url}/{path} failed {self._attempts} times; the last time: {reason}"
        ) from None

    def _try(self, path: str, parameters: list[tuple[str, str]]) -> tuple[requests.Response | None, str]:
        """Make one try; give the response, and why it is worth another try (empty: it is good)."""
        try:
            response = self._session.get(
                f"{self.base_url}/{path}",
                params=[*parameters, ("key", self._key)],
                headers={"Accept-Encoding": "gzip", "User-Agent": "babel-imagenet"},
                timeout=self._timeout_s,
                allow_redirects=False,
            )
        except requests.RequestException as error:  # its text holds the URL, and so the key
            return None, self._without_key(f"{type(error).__name__}: {error}")
        if response.status_code == 429 or response.status_code >= 500:
            return response, f"HTTP status {response.status_code}"
        text = response.content.decode("utf-8", errors="replace")
        if response.status_code != 200:
            raise ValueError(self._without_key(f"{path} was refused: HTTP {response.status_code} {text[:200]!r}"))
        try:
            response.content.decode("utf-8")
            message = error_message(text)
        except ValueError:
            return response, self._without_key(f"the answer is no JSON: {text[:100]!r}")
        if message:
            self._refuse(path, message)
        return response, ""

    def _refuse(self, path: str, message: str) -> None:
        if any(words in message.lower() for words in _QUOTA_WORDS):
            raise QuotaError(
                self._without_key(
                    f"BabelNet answers: {message!r}. Either the day's calls are used or"
                    " the key in BABELNET_KEY is wrong."
                )
            )
        raise ValueError(self._without_key(f"BabelNet refuses {path}: {message!r}"))

    def _without_key(self, text: str) -> str:
        for form in (self._key, quote(self._key, safe=""), quote_plus(self._key)):
            text = text.replace(form, "***")
        return text


def _wait_s(attempt: int, response: requests.Response | None) -> float:
    """Give the seconds to wait: what the server asks for, else 1, 2, 4, … with some chance, a minute at most."""
    asked = response.headers.get("Retry-After", "") if response is not None else ""
    if asked.isdigit():
        return min(float(asked), MAX_WAIT_S)
    return min(2.0**attempt, MAX_WAIT_S) * random.uniform(0.75, 1.25)
