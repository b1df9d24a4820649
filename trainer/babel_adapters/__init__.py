"""Language adapters: captions, objectives, adapter methods.

Importing this package makes peft know the bottleneck adapter, so do it before loading one.
"""

from __future__ import annotations

from babel_adapters.bottleneck import BottleneckConfig, register

register()

__all__ = ["BottleneckConfig"]
