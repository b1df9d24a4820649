"""READMEs with front matter: what they say a repository is."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babel_push.plan import Snapshot

if TYPE_CHECKING:
    from babel_push.hub import Hub

# What the Hub itself puts into a new repository; a Space gets a README too.
FROM_THE_HUB = {"dataset": {".gitattributes"}, "model": {".gitattributes"}, "space": {".gitattributes", "README.md"}}


def front_matter(text: str) -> dict[str, Any]:
    """Give what stands between the first two lines of `---`; an empty mapping where there is nothing.

    Raises:
      ValueError: it is no YAML mapping.
    """
    from huggingface_hub import RepoCard
    from yaml import YAMLError

    try:
        return RepoCard(text, ignore_metadata_errors=True).data.to_dict() if text.startswith("---") else {}
    except YAMLError as error:
        raise ValueError(f"README.md: bad YAML at its head ({' '.join(str(error).split())})") from error


def read_front_matter(path: Path) -> dict[str, Any]:
    """Give the front matter of a README on disk."""
    return front_matter(path.read_text(encoding="utf-8"))


def remote_front_matter(hub: Hub, there: Snapshot) -> dict[str, Any]:
    """Give the front matter of a repository's README; an empty mapping where there is none, or none that is sound."""
    if "README.md" not in there.files or there.commit is None:
        return {}
    with tempfile.TemporaryDirectory(prefix="babel-push-") as folder:
        try:
            return read_front_matter(hub.read_file("README.md", there.commit, Path(folder)))
        except ValueError:
            return {}


def has_content(hub: Hub, there: Snapshot) -> bool:
    """Say whether a repository holds more than what the Hub put there when it was made."""
    return bool(set(there.files) - FROM_THE_HUB[hub.repo_type])
