"""A bottleneck adapter after each transformer block, as a tuner of peft: down, activation, up, and a residual.

peft knows no adapter of this kind. `import babel_adapters` registers it, so that `get_peft_model` and
`PeftModel.from_pretrained` know its type; without that import, peft answers a saved one with a KeyError. It cannot be
merged into the base weights: a block has no place for it.

Source: Houlsby et al. 2019 (arXiv:1902.00751); one a block as in Pfeiffer et al. 2021 (arXiv:2005.00247), the kind
that Geigle et al. 2023 (arXiv:2306.08658), section 6, train.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

import torch
from peft import PeftConfig
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from peft.utils import PeftType, register_peft_method
from torch import nn

NAME = "BABEL_BOTTLENECK"
ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "identity": nn.Identity}


@dataclass
class BottleneckConfig(PeftConfig):
    """How bottleneck adapters look, and which blocks get one."""

    target_modules: list[str] | str | None = field(
        default=None, metadata={"help": "the blocks: a regular expression over whole module names, or name endings"}
    )
    exclude_modules: list[str] | str | None = field(default=None, metadata={"help": "blocks left alone, likewise"})
    modules_to_save: list[str] | None = field(default=None, metadata={"help": "modules trained and saved whole"})
    bottleneck_size: int = field(default=64, metadata={"help": "width of the adapter, in hidden units"})
    activation: str = field(default="relu", metadata={"help": f"one of {', '.join(ACTIVATIONS)}"})
    dropout: float = field(default=0.0, metadata={"help": "share of the bottleneck's units dropped in training"})
    init_std: float = field(default=0.02, metadata={"help": "standard deviation of the down projection at the start"})

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = PeftType(NAME)
        if self.bottleneck_size < 1:
            raise ValueError(f"bottleneck_size must be at least 1, got {self.bottleneck_size}")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation {self.activation!r} is unknown; allowed: {', '.join(ACTIVATIONS)}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {self.dropout}")
        if isinstance(self.target_modules, (set, tuple)):
            self.target_modules = sorted(self.target_modules)


class Bottleneck(nn.Module):
    """`up(activation(down(hidden)))`; `up` starts at zero, so that an untrained adapter changes nothing."""

    def __init__(self, width: int, config: BottleneckConfig) -> None:
        super().__init__()
        self.down = nn.Linear(width, config.bottleneck_size)
        self.activation = ACTIVATIONS[config.activation]()
        self.dropout = nn.Dropout(config.dropout)
        self.up = nn.Linear(config.bottleneck_size, width)
        nn.init.normal_(self.down.weight, std=config.init_std)
        nn.init.zeros_(self.down.bias)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Give what is added to hidden states [..., width], in the same shape and dtype."""
        change = self.up(self.dropout(self.activation(self.down(hidden.to(self.down.weight.dtype)))))
        return change.to(hidden.dtype)


class BottleneckLayer(nn.Module, BaseTunerLayer):
    """A transformer block with adapters behind it; its other attributes are the block's."""

    adapter_layer_names = ("bottleneck_adapters",)
    other_param_names = ()

    def __init__(self, base_layer: nn.Module, adapter_name: str, config: BottleneckConfig, width: int) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.width = width
        self.bottleneck_adapters = nn.ModuleDict()
        self._disable_adapters = False
        self.merged_adapters: list[str] = []
        self.add_adapter(adapter_name, config)

    def add_adapter(self, adapter_name: str, config: BottleneckConfig) -> None:
        """Put a fresh adapter of that name behind the block, on the block's device, and make it the active one."""
        self.bottleneck_adapters[adapter_name] = Bottleneck(self.width, config)
        reference = next(self.base_layer.parameters())
        self.bottleneck_adapters[adapter_name].to(device=reference.device, dtype=reference.dtype)
        self.set_adapter(adapter_name, inference_mode=config.inference_mode)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "base_layer":
                raise
            return getattr(self.base_layer, name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the block; add to its states (a tensor, or the first of a tuple) what each active adapter says."""
        output = self.base_layer(*args, **kwargs)
        if self.disable_adapters:
            return output
        hidden = output[0] if isinstance(output, tuple) else output
        for name in self.active_adapters:
            if name in self.bottleneck_adapters:
                hidden = hidden + self.bottleneck_adapters[name](hidden)
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Refuse: a bottleneck has an activation inside, and no weight of a block could hold it."""
        raise ValueError("bottleneck adapters cannot be merged into the base weights; keep the adapter, or train LoRA")

    def unmerge(self) -> None:
        """Refuse, as nothing can have been merged."""
        raise ValueError("bottleneck adapters are never merged, so there is nothing to unmerge")


class BottleneckModel(BaseTuner):
    """Puts bottleneck adapters behind the blocks that a `BottleneckConfig` names."""

    prefix = "bottleneck_"
    tuner_layer_cls = BottleneckLayer
    target_module_mapping: ClassVar[dict[str, list[str]]] = {}  # type: ignore[misc]  # as peft's own tuners have it

    def _prepare_adapter_config(self, peft_config: PeftConfig, model_config: dict) -> PeftConfig:
        if not getattr(peft_config, "target_modules", None):
            raise ValueError("target_modules is needed: which blocks get a bottleneck adapter behind them")
        return peft_config

    def _create_and_replace(  # type: ignore[override]
        self,
        peft_config: Any,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        **_: Any,
    ) -> None:
        if isinstance(target, BottleneckLayer):
            target.add_adapter(adapter_name, peft_config)
            return
        layer = BottleneckLayer(target, adapter_name, peft_config, block_width(target, current_key))
        if adapter_name not in self.active_adapters:
            layer.requires_grad_(False)
        self._replace_module(parent, target_name, layer, target)

    def _replace_module(self, parent: nn.Module, child_name: str, new_module: nn.Module, child: nn.Module) -> None:
        setattr(parent, child_name, new_module)

    def _check_merge_allowed(self) -> None:
        raise ValueError("bottleneck adapters cannot be merged into the base weights; keep the adapter, or train LoRA")


def block_width(block: nn.Module, name: str = "") -> int:
    """Give the number of hidden units that a transformer block passes on: the length of its layer norms' weights.

    Raises:
      ValueError: the block has no normalisation of one width, so it is no transformer block.
    """
    widths = {
        int(cast(torch.Tensor, part.weight).numel())
        for part in block.modules()
        if "norm" in type(part).__name__.lower() and getattr(part, "weight", None) is not None
    }
    if len(widths) != 1:
        raise ValueError(
            f"{name or type(block).__name__} is no transformer block: widths of its norms: {sorted(widths)}"
        )
    return widths.pop()


def register() -> None:
    """Make peft know the tuner under the name `BABEL_BOTTLENECK`; a second call changes nothing.

    peft's own function registers only names of its enum `PeftType`, so the enum gets a member first.
    """
    if NAME in PeftType.__members__ and PeftType(NAME) in PEFT_TYPE_TO_CONFIG_MAPPING:
        return
    if NAME not in PeftType.__members__:
        member = str.__new__(PeftType, NAME)
        member._name_, member._value_ = NAME, NAME
        PeftType._member_map_[NAME] = member
        PeftType._member_names_.append(NAME)
        PeftType._value2member_map_[NAME] = member
        type.__setattr__(PeftType, NAME, member)
    register_peft_method(
        name=NAME.lower(), config_cls=BottleneckConfig, model_cls=BottleneckModel, prefix=BottleneckModel.prefix
    )
