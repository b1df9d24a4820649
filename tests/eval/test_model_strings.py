"""Model strings: what is wrong with one is said before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from babel_eval.encoders import load_encoder


@pytest.mark.parametrize(
    "model",
    [
        "transformers:{0}/no",
        "open_clip:{0}/no",
        "m-clip:{0}/no+images:open_clip:RN50@openai",
        "sentence-transformers:{0}/no+images:{0}",
        "features:{0}/no",
        "open_clip:RN50@openai+peft:{0}/no",
    ],
)
def test_a_folder_that_is_not_there_is_no_name_on_the_hub(model: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"there is no folder {tmp_path}/no$"):
        load_encoder(model.format(tmp_path), device="cpu")
