"""The bottleneck tuner: known to peft on import, nothing at the start, the same after a round trip, never merged."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from transformers import BertConfig, BertModel

from babel_adapters import BottleneckConfig, register

BLOCKS = r"encoder\.layer\.\d+"
IDS = torch.tensor([[1, 5, 9, 2], [1, 7, 2, 0]])


@pytest.fixture
def bert() -> Any:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2}
    return BertModel(BertConfig(vocab_size=20, **sizes), add_pooling_layer=False).eval()


def states(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(IDS).last_hidden_state


def shaken(model: Any) -> Any:
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.3)
    return model.eval()


def test_registering_twice_changes_nothing() -> None:
    register()
    assert list(peft.PeftType).count(peft.PeftType("BABEL_BOTTLENECK")) == 1


def test_an_untrained_adapter_changes_nothing(bert: Any) -> None:
    plain = states(bert)
    assert torch.equal(states(peft.get_peft_model(bert, BottleneckConfig(target_modules=BLOCKS)).eval()), plain)


def test_it_adds_up_of_relu_of_down_behind_the_block(bert: Any) -> None:
    base = copy.deepcopy(bert)
    model = shaken(peft.get_peft_model(bert, BottleneckConfig(target_modules=r"encoder\.layer\.2", bottleneck_size=4)))
    adapter = model.base_model.model.encoder.layer[2].bottleneck_adapters["default"]
    before = states(base)
    with torch.no_grad():
        inner = torch.relu(before @ adapter.down.weight.T + adapter.down.bias)
        by_hand = before + inner @ adapter.up.weight.T + adapter.up.bias
    assert torch.allclose(states(model), by_hand, atol=1e-5)


def test_only_the_adapter_trains_and_every_part_of_it_gets_a_gradient(bert: Any) -> None:
    model = shaken(peft.get_peft_model(bert, BottleneckConfig(target_modules=BLOCKS, bottleneck_size=4)))
    model(IDS).last_hidden_state.pow(2).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad is ("bottleneck_adapters" in name), name
        assert (parameter.grad is not None and bool(parameter.grad.any())) is parameter.requires_grad, name


def test_a_saved_adapter_gives_bit_equal_states(bert: Any, tmp_path: Path) -> None:
    base = copy.deepcopy(bert)
    model = shaken(peft.get_peft_model(bert, BottleneckConfig(target_modules=BLOCKS, activation="gelu")))
    model.save_pretrained(str(tmp_path))
    again = peft.PeftModel.from_pretrained(base, str(tmp_path)).eval()
    assert torch.equal(states(again), states(model))
    with again.disable_adapter():
        assert not torch.equal(states(again), states(model))


def test_unloading_gives_the_base_back(bert: Any) -> None:
    plain = states(bert)
    model = shaken(peft.get_peft_model(bert, BottleneckConfig(target_modules=BLOCKS)))
    assert torch.equal(states(model.unload().eval()), plain)


def test_merging_is_refused(bert: Any) -> None:
    model = peft.get_peft_model(bert, BottleneckConfig(target_modules=BLOCKS))
    with pytest.raises(ValueError, match="cannot be merged"):
        model.merge_and_unload()


def test_a_stranger_who_has_not_imported_it_is_told_by_peft(bert: Any, tmp_path: Path) -> None:
    peft.get_peft_model(bert, BottleneckConfig(target_modules=BLOCKS)).save_pretrained(str(tmp_path))
    code = f"import peft; peft.PeftConfig.from_pretrained({str(tmp_path)!r})"
    alone = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert alone.returncode != 0
    assert "BABEL_BOTTLENECK" in alone.stderr


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"bottleneck_size": 0}, "at least 1"),
        ({"activation": "tanhh"}, "allowed: relu"),
        ({"dropout": 1.0}, "below 1"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        BottleneckConfig(target_modules=BLOCKS, **settings)


def test_a_module_that_is_no_block_is_refused(bert: Any) -> None:
    with pytest.raises(ValueError, match="no transformer block"):
        peft.get_peft_model(bert, BottleneckConfig(target_modules=r".*\.query"))
