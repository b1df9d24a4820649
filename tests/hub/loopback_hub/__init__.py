"""A Hub on 127.0.0.1, on disk: enough of the Hugging Face Hub's HTTP API for the real clients, without Xet.

For tests, with faults on demand (`LoopbackHub` in `server.py`, `Fault` in `faults.py`), and as `make hub` for a person
who wants to see a push before the real one.
"""

from loopback_hub.faults import Fault
from loopback_hub.server import LoopbackHub
from loopback_hub.store import Store, User

__all__ = ["Fault", "LoopbackHub", "Store", "User"]
