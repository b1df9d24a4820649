"""A Hub on this machine, to try a push on: `make hub`, then the three lines that it prints."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import threading
from pathlib import Path

from loopback_hub.server import Asked, LoopbackHub
from loopback_hub.store import User

OWNER = User("me", "local-hub-token", orgs=("local", "evaluate-metric"))
READER = User("reader", "local-read-token", role="read")


def main() -> None:
    """Serve a folder until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="make hub", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("hub"), help="where the repositories lie")
    parser.add_argument("--port", type=int, default=7860, help="port on 127.0.0.1")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    home = shlex.quote(str(arguments.folder.resolve() / ".home"))
    with LoopbackHub(arguments.folder, [OWNER, READER], port=arguments.port, on_request=_log) as hub:
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        sys.stdout.write(
            f"A Hub on {hub.url}, repositories in {arguments.folder}/; Ctrl-C ends it. In another terminal:\n\n"
            f"  export HF_ENDPOINT={hub.url} HF_TOKEN={OWNER.token} HF_HOME={home}\n"
            f"  export HF_HUB_DISABLE_XET=1 HF_UPDATE_DOWNLOAD_COUNTS=FALSE\n"
            "  babel-imagenet push dataset --repo-id local/babel-imagenet --accept-babelnet-license\n\n"
        )
        sys.stdout.flush()
        stop.wait()


def _log(asked: Asked) -> None:
    sys.stdout.write(f"{asked.status} {asked.method:6} {asked.url.split('?')[0]} ({asked.user or 'anonymous'})\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
