from __future__ import annotations

import json
import socket

import pytest
from loopback_babelnet import KEY, LoopbackBabelNet, sense

from babel_imagenet_dataset.babelnet_client import BabelNetClient, QuotaError

FOX = {"wn:02119789n": [sense("kit_fox", "EN", "WN"), sense("Kitfuchs", "DE")]}


def client(url: str, waits: list[float] | None = None, **settings: object) -> BabelNetClient:
    slept = waits if waits is not None else []
    return BabelNetClient(KEY, url, sleep=slept.append, **settings)  # type: ignore[arg-type]


def lemmas(text: str) -> list[str]:
    return [raw["properties"]["fullLemma"] for raw in json.loads(text)["senses"]]


def test_a_synset_is_asked_for_by_its_wordnet_id_in_the_languages_given() -> None:
    with LoopbackBabelNet(FOX) as server:
        assert lemmas(client(server.url).synset("wn:02119789n", ["DE", "FR"])) == ["Kitfuchs"]
        assert server.calls == [("wn:02119789n", ("DE", "FR"))]


@pytest.mark.parametrize("fault", [500, 502, 503, 504, 429, "reset", "cut", "garbage"])
def test_a_failure_that_may_pass_is_tried_again(fault: object) -> None:
    with LoopbackBabelNet(FOX, faults=[fault, fault]) as server:
        assert lemmas(client(server.url).synset("wn:02119789n", ["DE"])) == ["Kitfuchs"]
        assert server.n_requests == 3


def test_the_waits_grow_and_the_servers_own_wish_is_obeyed() -> None:
    waits: list[float] = []
    with LoopbackBabelNet(FOX, faults=[500, 500, 500, "retry-after"]) as server:
        client(server.url, waits).synset("wn:02119789n")
    assert len(waits) == 4
    for wait, about in zip(waits, [1, 2, 4], strict=False):
        assert 0.75 * about <= wait <= 1.25 * about
    assert waits[3] == 7


def test_a_server_that_stays_down_is_an_error_after_the_last_try() -> None:
    with (
        LoopbackBabelNet(FOX, faults=[503] * 9) as server,
        pytest.raises(ConnectionError, match=r"failed 3 times; the last time: HTTP status 503"),
    ):
        client(server.url, attempts=3).synset("wn:02119789n")
    assert server.n_requests == 3


def test_every_try_is_announced_before_it_is_made() -> None:
    tries: list[int] = []
    with LoopbackBabelNet(FOX, faults=[500]) as server:
        client(server.url).synset("wn:02119789n", ["DE"], lambda: tries.append(server.n_requests))
    assert tries == [0, 1]


def test_the_quota_message_is_a_quota_error_and_is_not_tried_again() -> None:
    with (
        LoopbackBabelNet(FOX, quota=0) as server,
        pytest.raises(QuotaError, match="day's calls are used or the key in BABELNET_KEY is wrong"),
    ):
        client(server.url).synset("wn:02119789n")
    assert server.n_requests == 1


def test_a_wrong_key_is_a_quota_error_too_because_the_server_does_not_tell_them_apart() -> None:
    with LoopbackBabelNet(FOX, key="another") as server, pytest.raises(QuotaError):
        client(server.url).version()


@pytest.mark.parametrize("status", [400, 401, 403, 404, "redirect"])
def test_a_refusal_is_an_error_at_once(status: object) -> None:
    with LoopbackBabelNet(FOX, faults=[status]) as server, pytest.raises(ValueError, match="was refused: HTTP"):
        client(server.url).synset("wn:02119789n")
    assert server.n_requests == 1


def test_an_answer_that_is_no_object_is_an_error_that_shows_it() -> None:
    with LoopbackBabelNet(FOX, faults=["list"]) as server, pytest.raises(ValueError, match=r"no JSON object.*'\[\]'"):
        client(server.url).synset("wn:02119789n")


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_no_message_holds_the_key() -> None:
    """The connection library's own messages hold the whole URL."""
    with pytest.raises(ConnectionError) as caught:
        client(f"http://127.0.0.1:{closed_port()}/v9", attempts=1).synset("wn:02119789n")
    error: BaseException | None = caught.value
    assert "refused" in str(error)
    while error is not None:
        for form in (KEY, "8c1f-secret", "key%2B0001"):
            assert form not in str(error)
            assert form not in repr(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def test_the_version_is_asked_for() -> None:
    with LoopbackBabelNet(FOX, version="V5_2") as server:
        assert client(server.url).version() == "V5_2"
    with LoopbackBabelNet(FOX, faults=["list"]) as server, pytest.raises(ValueError, match="named no version"):
        client(server.url).version()


def test_without_a_key_the_message_says_where_one_comes_from() -> None:
    with pytest.raises(ValueError, match="set BABELNET_KEY"):
        BabelNetClient("  ")


@pytest.mark.parametrize("url", ["babelnet.io/v9", "ftp://host/v9", "https://user:pw@host/v9", "http://"])
def test_a_base_url_of_another_form_is_an_error(url: str) -> None:
    with pytest.raises(ValueError, match="base URL must be"):
        BabelNetClient(KEY, url)
