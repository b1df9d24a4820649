"""A crawl's folder: raw answers, compressed, one file a synset, and a manifest; written whole or not at all."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from babel_imagenet_dataset.files import atomic_path, read_json, write_json

_FORMAT = 1


@dataclass(frozen=True)
class StoredCall:
    """One answer as it came.

    Attributes:
      languages: BabelNet's codes that the call asked for; empty where it asked for every language.
      time: when the answer came, ISO 8601 in UTC.
      answer: the raw text.
    """

    languages: tuple[str, ...]
    time: str
    answer: str


class CrawlFolder:
    """The folder of one crawl: `crawl.json` and `answers/WNID.json.gz`.

    Nothing is written before `open`; a folder that does not exist yet is an empty crawl.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._languages: dict[str, tuple[frozenset[str] | None, int]] = {}
        self._manifest: dict[str, Any] | None = None

    def open(self, base_url: str) -> None:
        """Begin or go on with a crawl of one server.

        Raises:
          ValueError: the folder holds a crawl of another server, or was written by a newer version.
        """
        manifest = self.manifest()
        if manifest and manifest["base_url"] != base_url:
            raise ValueError(
                f"{self.path} holds answers of {manifest['base_url']}, not of {base_url}; give another folder"
            )
        if not manifest:
            self._write({"format": _FORMAT, "base_url": base_url, "version": None, "calls_by_day": {}})

    def agree_on_version(self, version: str) -> None:
        """Note BabelNet's version, or check that it is still the same.

        Raises:
          ValueError: the folder holds answers of another version; senses of two versions are not to be mixed.
        """
        manifest = self.manifest()
        if manifest["version"] not in (None, version):
            raise ValueError(
                f"{self.path} holds answers of BabelNet {manifest['version']}, the server now has {version}; "
                f"begin anew in another folder"
            )
        if manifest["version"] is None:
            self._write(manifest | {"version": version})

    def manifest(self) -> dict[str, Any]:
        """Give the manifest; empty if the crawl has not begun.

        Raises:
          ValueError: it is damaged, or of a newer format.
        """
        path = self.path / "crawl.json"
        if self._manifest is None and path.exists():
            manifest = read_json(path)
            if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT:
                raise ValueError(f"{path}: not a manifest of format {_FORMAT}; was it written by a newer version?")
            self._manifest = manifest
        return dict(self._manifest or {})

    def calls_on(self, day: str) -> int:
        """Give the number of calls made on a day (UTC), those for the version included."""
        return int(self.manifest().get("calls_by_day", {}).get(day, 0))

    def count_call(self, day: str) -> None:
        """Add one to a day's calls, on disk at once."""
        manifest = self.manifest()
        by_day = dict(manifest["calls_by_day"])
        by_day[day] = by_day.get(day, 0) + 1
        self._write(manifest | {"calls_by_day": by_day})

    def add(self, wnid: str, call: StoredCall) -> None:
        """Keep an answer beside those that the synset has."""
        calls = [*self.calls(wnid), call]
        text = json.dumps({"wnid": wnid, "calls": [asdict(stored) for stored in calls]}, ensure_ascii=False)
        with atomic_path(self._answers(wnid)) as part:
            part.write_bytes(gzip.compress(text.encode("utf-8"), mtime=0))
        self._languages[wnid] = _summary(calls)

    def calls(self, wnid: str) -> list[StoredCall]:
        """Give a synset's answers in the order in which they came.

        Raises:
          ValueError: the file is damaged; the message says to delete it, which costs its calls again.
        """
        path = self._answers(wnid)
        if not path.exists():
            return []
        try:
            stored = json.loads(gzip.decompress(path.read_bytes()))
            return [StoredCall(tuple(call["languages"]), call["time"], call["answer"]) for call in stored["calls"]]
        except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is damaged ({error}); delete it and run the crawl again") from error

    def languages_of(self, wnid: str) -> frozenset[str] | None:
        """Give the languages that a synset was asked for; None if it was asked for every language."""
        return self._of(wnid)[0]

    def n_calls(self, wnid: str) -> int:
        """Give the number of answers that a synset has."""
        return self._of(wnid)[1]

    def _of(self, wnid: str) -> tuple[frozenset[str] | None, int]:
        if wnid not in self._languages:
            self._languages[wnid] = _summary(self.calls(wnid))
        return self._languages[wnid]

    def _answers(self, wnid: str) -> Path:
        return self.path / "answers" / f"{wnid}.json.gz"

    def _write(self, manifest: dict[str, Any]) -> None:
        write_json(self.path / "crawl.json", manifest)
        self._manifest = manifest


def _summary(calls: list[StoredCall]) -> tuple[frozenset[str] | None, int]:
    if any(not call.languages for call in calls):
        return None, len(calls)
    return frozenset(code for call in calls for code in call.languages), len(calls)
