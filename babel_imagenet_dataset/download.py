"""One file of a public GitHub repository into the Hugging Face cache: resumed, retried, checked before it is used."""

from __future__ import annotations

import os
from pathlib import Path

import requests
from filelock import FileLock
from urllib3.util import Retry

from babel_imagenet_dataset.files import sha256_of_file

BASE_URL = "https://raw.githubusercontent.com"
BASE_URL_VARIABLE = "BABEL_IMAGENET_BASE_URL"
ATTEMPTS = 6

# Of a transfer that is cut, what came since the last whole chunk is lost: small chunks.
_CHUNK = 1 << 12
_TIMEOUT = (10.0, 30.0)
_RETRIED = (408, 425, 429, 500, 502, 503, 504)


class BrokenTransferError(OSError):
    """A transfer that ended before its end; the bytes so far are kept."""


def fetch(
    repository: str,
    commit: str,
    path: str,
    sha256: str,
    *,
    base_url: str | None = None,
    cache: Path | None = None,
    wait: float = 1.0,
) -> Path:
    """Give a file of a repository at a commit: from the cache where it is, else downloaded.

    A download that was cut goes on where it stopped, also in another process; a file takes its place in the cache only
    with the right sha256. Two processes that ask for the same file download it once.

    Args:
      repository: `owner/name` on GitHub.
      commit: 40 hex digits.
      path: the file's path in the repository.
      sha256: 64 hex digits that its bytes must have.
      base_url: a mirror, as `BABEL_IMAGENET_BASE_URL`; None for that variable, else GitHub itself.
      cache: the folder; None for `babel-imagenet` in the assets cache of huggingface_hub (below `HF_HOME`).
      wait: seconds before the second attempt, doubled for each one after it; `Retry-After` of the server counts more.

    Returns:
      the path in the cache.

    Raises:
      FileNotFoundError: the server has no such file.
      ValueError: what came has another sha256.
      OSError: offline mode is on, or every attempt failed; the message names the address and what to do.
    """
    folder = cache or _cache_folder(repository, commit)
    target = folder / Path(path).name
    if target.is_file() and sha256_of_file(target) == sha256:
        return target
    url = f"{(base_url or os.environ.get(BASE_URL_VARIABLE) or BASE_URL).rstrip('/')}/{repository}/{commit}/{path}"
    _refuse_offline(url)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if not (target.is_file() and sha256_of_file(target) == sha256):
            _download_checked(url, target, sha256, wait)
    return target


def _download_checked(url: str, target: Path, sha256: str, wait: float) -> None:
    """Download into `target`; what an earlier run left is used, and dropped where it proves wrong."""
    part = target.with_name(f"{target.name}.part")
    was_resumed = _size(part) > 0
    _download(url, part, wait)
    got = sha256_of_file(part)
    if got != sha256 and was_resumed:
        part.unlink()
        _download(url, part, wait)
        got = sha256_of_file(part)
    if got != sha256:
        n_bytes = part.stat().st_size
        part.unlink()
        raise ValueError(
            f"{url}: what came ({n_bytes} bytes) has sha256 {got}, expected {sha256}; nothing was kept. Something "
            f"between here and there changes or cuts the file: get it another way and give its path (--labels PATH)."
        )
    os.replace(part, target)


def _download(url: str, part: Path, wait: float) -> None:
    """Transfer the whole of a file into `part`, attempt after attempt."""
    retry = Retry(total=ATTEMPTS - 1, backoff_factor=wait / 2, status_forcelist=_RETRIED, raise_on_status=False)
    with requests.Session() as session:
        for prefix in ("http://", "https://"):
            session.mount(prefix, requests.adapters.HTTPAdapter(max_retries=retry))
        again, most = retry, _size(part)
        while True:
            try:
                return _transfer(session, url, part)
            except BrokenTransferError as error:
                if _size(part) > most:  # every cut that brought something may be followed by as many attempts again
                    again, most = retry, _size(part)
                if again.total == 0:
                    raise _failed(url, error) from error
                again = again.increment("GET", url)
                again.sleep()
            except requests.RequestException as error:
                raise _failed(url, error) from error


def _transfer(session: requests.Session, url: str, part: Path) -> None:
    """Transfer what `part` still lacks.

    Raises:
      BrokenTransferError: the connection was cut; what came is in `part`.
    """
    have = _size(part)
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    with session.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
        if have and answer.status_code == 416:
            part.unlink()
            raise BrokenTransferError(f"the server has no byte {have}")
        _check_status(answer, url)
        is_rest = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        length = answer.headers.get("Content-Length")
        start = have if is_rest else 0
        _save(answer, part, start, start + int(length) if length else None)


def _save(answer: requests.Response, part: Path, start: int, total: int | None) -> None:
    from huggingface_hub.utils import tqdm

    count = start
    with (
        open(part, "r+b" if start else "wb") as file,
        tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=part.stem, disable=None) as bar,
    ):
        file.seek(start)
        file.truncate()
        try:
            for chunk in answer.iter_content(_CHUNK):
                file.write(chunk)
                count += len(chunk)
                bar.update(len(chunk))
        except requests.RequestException as error:
            raise BrokenTransferError(f"cut after {count} of {total or 'unknown'} bytes ({error})") from error
    if total is not None and count != total:
        raise BrokenTransferError(f"ended after {count} of {total} bytes")


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _check_status(answer: requests.Response, url: str) -> None:
    if answer.status_code in (404, 410):
        raise FileNotFoundError(f"{url}: the server has no such file ({answer.status_code}). {_ADVICE}")
    if answer.status_code not in (200, 206):
        raise requests.HTTPError(f"the server answered {answer.status_code} {answer.reason}")


_ADVICE = f"Check the network or {BASE_URL_VARIABLE}, or get the file another way and give its path (--labels PATH)."


def _failed(url: str, error: Exception) -> OSError:
    return OSError(f"{url} could not be downloaded: {error}. {_ADVICE}")


def _cache_folder(repository: str, commit: str) -> Path:
    from huggingface_hub import cached_assets_path

    return cached_assets_path("babel-imagenet", namespace=repository, subfolder=commit[:12])


def _refuse_offline(url: str) -> None:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise OSError(f"{url} is needed but HF_HUB_OFFLINE is on. {_ADVICE}")
