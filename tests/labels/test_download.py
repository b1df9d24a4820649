import hashlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from loopback_files import serve

from babel_imagenet_dataset import download, release
from babel_imagenet_dataset.download import fetch

BODY = bytes(range(256)) * 1200  # 300 kB, in several chunks
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def server():
    with serve(BODY) as running:
        yield running


@pytest.fixture
def get(server, tmp_path):
    """Fetch the file without waiting between attempts."""

    def call(sha256=SHA256):
        return fetch("owner/name", "c" * 40, "data/labels.json", sha256, base_url=server.url, cache=tmp_path, wait=0.0)

    return call


def left(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_a_file_is_downloaded_once_and_then_read_from_the_cache(server, get, tmp_path):
    assert get().read_bytes() == BODY
    assert get() == tmp_path / "labels.json"
    assert server.requests == [(f"/owner/name/{'c' * 40}/data/labels.json", None, "identity")]
    assert left(tmp_path) == ["labels.json"]


def test_a_cached_file_that_was_changed_is_downloaded_anew(server, get):
    get().write_bytes(b"changed")
    assert get().read_bytes() == BODY
    assert len(server.requests) == 2


def test_a_cut_connection_is_resumed_where_it_broke(server, get):
    server.faults = ["cut:100000", "cut:150000"]
    assert get().read_bytes() == BODY
    starts = [int(span.removeprefix("bytes=")[:-1]) for _, span, _ in server.requests[1:]]
    assert 100_000 - 4096 < starts[0] <= 100_000
    assert starts[0] + 150_000 - 4096 < starts[1] <= starts[0] + 150_000


def test_what_an_earlier_run_left_is_resumed(server, get, tmp_path):
    (tmp_path / "labels.json.part").write_bytes(BODY[:12345])
    assert get().read_bytes() == BODY
    assert [span for _, span, _ in server.requests] == ["bytes=12345-"]
    assert left(tmp_path) == ["labels.json"]


def test_a_server_that_ignores_ranges_is_taken_from_the_start(server, get, tmp_path):
    (tmp_path / "labels.json.part").write_bytes(b"x" * 12345)
    server.faults = ["whole"]
    assert get().read_bytes() == BODY
    assert len(server.requests) == 1


@pytest.mark.parametrize("rest", [b"x" * 500, b"x" * len(BODY), b"x" * (len(BODY) + 9), BODY])
def test_a_leftover_that_is_wrong_or_too_long_is_dropped(server, get, tmp_path, rest):
    (tmp_path / "labels.json.part").write_bytes(rest)
    assert get().read_bytes() == BODY
    assert left(tmp_path) == ["labels.json"]


def test_a_connection_that_is_always_cut_is_given_up_and_what_came_is_kept(server, get, tmp_path):
    server.faults = ["cut:8192"] + ["cut:0"] * 20
    with pytest.raises(OSError, match=r"could not be downloaded: .*8192 of 307200 bytes.*--labels PATH"):
        get()
    assert (tmp_path / "labels.json.part").read_bytes() == BODY[:8192]
    assert not (tmp_path / "labels.json").exists()
    assert len(server.requests) <= 2 * download.ATTEMPTS
    server.faults = []
    assert get().read_bytes() == BODY
    assert server.requests[-1][1] == "bytes=8192-"


def test_many_cuts_that_each_bring_something_are_no_reason_to_give_up(server, get):
    server.faults = ["cut:10000"] * 30
    assert get().read_bytes() == BODY
    assert len(server.requests) > 5 * download.ATTEMPTS


@pytest.mark.parametrize("fault", ["short:200000", "wrong"])
def test_a_truncated_or_wrong_file_is_an_error_and_nothing_is_kept(server, get, tmp_path, fault):
    server.faults = [fault]
    with pytest.raises(ValueError, match=rf"has sha256 [0-9a-f]{{64}}, expected {SHA256}; nothing was kept"):
        get()
    assert left(tmp_path) == []


def test_a_missing_file_is_an_error_at_once_that_names_the_address(server, get):
    server.faults = [404]
    with pytest.raises(FileNotFoundError, match=rf"{server.url}/owner/name/c+/data/labels\.json.*404"):
        get()
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [401, 403, 451])
def test_a_refusal_is_an_error_at_once(server, get, status):
    server.faults = [status]
    with pytest.raises(OSError, match=str(status)):
        get()
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(server, get, status):
    server.faults = [status, status]
    server.headers = {"Retry-After": "0"}
    assert get().read_bytes() == BODY
    assert len(server.requests) == 3


def test_a_server_that_stays_busy_is_an_error_that_names_the_status(server, get, tmp_path):
    server.faults = [503] * 50
    with pytest.raises(OSError, match="503"):
        get()
    assert len(server.requests) == download.ATTEMPTS
    assert left(tmp_path) == []


def test_no_server_at_all_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(OSError, match=r"could not be downloaded.*--labels PATH"):
        fetch("o/n", "c", "f", SHA256, base_url="http://127.0.0.1:9", cache=tmp_path, wait=0.0)


def test_two_threads_that_want_the_same_file_download_it_once(server, get):
    threads = [threading.Thread(target=get) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.requests) == 1


def test_a_run_that_is_killed_while_downloading_is_resumed_by_the_next(server, get, tmp_path):
    """The server cuts after 200 kB and then answers nothing but errors until the process is killed."""
    whole_chunks = 200_000 // 4096 * 4096
    server.faults = ["cut:200000"] + [503] * 100
    script = (
        "from pathlib import Path; from babel_imagenet_dataset.download import fetch\n"
        f"fetch('owner/name', {'c' * 40!r}, 'data/labels.json', {SHA256!r}, base_url={server.url!r}, "
        f"cache=Path({str(tmp_path)!r}), wait=60.0)"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    part = tmp_path / "labels.json.part"
    deadline = time.monotonic() + 60
    while not (part.is_file() and part.stat().st_size == whole_chunks and len(server.requests) >= 2):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert left(tmp_path) == ["labels.json.part"]
    server.faults = []
    assert get().read_bytes() == BODY
    assert server.requests[-1][1] == f"bytes={whole_chunks}-"


def test_the_labels_come_from_the_pinned_commit_into_the_folder_of_hf_home(tmp_path, reference_data):
    """The whole way, in a process of its own: address from the environment, cache below HF_HOME, then offline."""
    body = (reference_data / "babel_imagenet-298.json").read_bytes()
    script = (
        "from babel_imagenet_dataset.release import load_labels\n"
        "file = load_labels('298'); print(file.path, file.release, len(file.languages))"
    )
    with serve(body) as server:
        base = {**os.environ, "HF_HOME": str(tmp_path), "BABEL_IMAGENET_BASE_URL": f"{server.url}/"}
        base.pop("HF_ASSETS_CACHE", None)
        for extra in ({"HF_HUB_OFFLINE": "0"}, {"HF_HUB_OFFLINE": "1"}):
            run = subprocess.run([sys.executable, "-c", script], env=base | extra, capture_output=True, text=True)
            assert run.returncode == 0, run.stderr
            path, key, n = run.stdout.split()
            assert Path(path).is_relative_to(tmp_path)
            assert (key, n) == ("298", "298")
        assert [path for path, _, _ in server.requests] == [
            f"/gregor-ge/Babel-ImageNet/{release.COMMIT}/data/babel_imagenet-298.json"
        ]


def test_offline_mode_is_told_before_anything_is_asked(server, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(OSError, match="HF_HUB_OFFLINE is on"):
        fetch("o/n", "c", "f", SHA256, base_url=server.url, cache=tmp_path)
    assert server.requests == []
