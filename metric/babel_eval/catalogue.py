"""Models worth measuring: those of the paper, and today's strong multilingual ones."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """A model that is known to work here, or known not to.

    Attributes:
      model: the string that `--model` takes.
      parameters: of both towers.
      licence: of the weights, as their model card gives it; `not stated` where it gives none.
      text: what is special about the text side.
      paper: True for the models of the paper and its repository.
      is_loadable: False where the weights need code from their repository; `text` says what to do then.
    """

    model: str
    parameters: int
    licence: str
    text: str
    paper: bool = False
    is_loadable: bool = True


_NLLB = "marks the language with a token, --language-token; 161 of 298 languages have one"
_SIGLIP = "computed at its full length of 64 tokens, padding counts"
_XLMR = "XLM-R, 100 languages"

CATALOGUE: tuple[Known, ...] = (
    Known(
        "conse-e5", 122_157_928, "MIT (text), Apache-2.0 (images)", "the embedded baseline; its images know ImageNet"
    ),
    Known("open_clip:xlm-roberta-base-ViT-B-32@laion5b_s13b_b90k", 366_121_473, "MIT", _XLMR, True),
    Known("open_clip:xlm-roberta-large-ViT-H-14@frozen_laion5b_s13b_b90k", 1_193_014_785, "MIT", _XLMR, True),
    Known("open_clip:ViT-B-16-SigLIP-i18n-256@webli", 370_626_050, "Apache-2.0", _SIGLIP, True),
    Known("open_clip:nllb-clip-base@v1", 501_885_185, "CC-BY-NC-4.0", _NLLB, True),
    Known("open_clip:nllb-clip-large@v1", 1_399_216_641, "CC-BY-NC-4.0", _NLLB, True),
    Known("open_clip:nllb-clip-base-siglip@v1", 507_474_178, "CC-BY-NC-4.0", _NLLB, True),
    Known("open_clip:nllb-clip-large-siglip@v1", 1_195_496_514, "CC-BY-NC-4.0", _NLLB, True),
    Known("m-clip:M-CLIP/XLM-Roberta-Large-Vit-B-32", 711_692_545, "not stated", _XLMR + "; distilled", True),
    Known("m-clip:M-CLIP/XLM-Roberta-Large-Vit-B-16Plus", 768_923_777, "not stated", _XLMR + "; distilled", True),
    Known("m-clip:M-CLIP/XLM-Roberta-Large-Vit-L-14", 988_294_145, "not stated", _XLMR + "; distilled", True),
    Known(
        "m-clip:M-CLIP/M-BERT-Base-ViT-B",
        329_524_481,
        "not stated",
        "multilingual BERT, distilled; its last layer was published as a pickle: see docs/paper.md",
        True,
        False,
    ),
    Known(
        "sentence-transformers:clip-ViT-B-32-multilingual-v1",
        286_404_609,
        "Apache-2.0",
        "multilingual DistilBERT, distilled, 50+ languages",
        True,
    ),
    Known(
        "transformers:BAAI/AltCLIP-m9", 864_186_113, "CreativeML OpenRAIL-M", "XLM-R, tuned for nine languages", True
    ),
    Known("open_clip:ViT-B-32@openai", 151_277_313, "MIT", "English only: the paper's yardstick", True),
    Known("open_clip:ViT-B-16-SigLIP2-256@webli", 375_234_050, "Apache-2.0", _SIGLIP + "; lower-cases"),
    Known("open_clip:ViT-SO400M-16-SigLIP2-256@webli", 1_135_670_962, "Apache-2.0", _SIGLIP + "; lower-cases"),
    Known("open_clip:ViT-gopt-16-SigLIP2-256@webli", 1_871_393_906, "Apache-2.0", _SIGLIP + "; lower-cases"),
    Known("open_clip:ViT-SO400M-16-SigLIP-i18n-256@webli", 1_127_430_706, "Apache-2.0", _SIGLIP),
    Known("open_clip:ViT-H-14-worldwide@metaclip2_worldwide", 1_858_783_745, "CC-BY-NC-4.0", "XLM-V, 300+ languages"),
    Known(
        "open_clip:ViT-bigG-14-worldwide@metaclip2_worldwide", 3_630_409_985, "CC-BY-NC-4.0", "XLM-V, 300+ languages"
    ),
    Known("open_clip:nllb-clip-base-siglip@mrl", 507_474_178, "CC-BY-NC-4.0", _NLLB),
    Known("open_clip:nllb-clip-large-siglip@mrl", 1_195_496_514, "CC-BY-NC-4.0", _NLLB),
    Known(
        "jinaai/jina-clip-v2",
        865_278_477,
        "CC-BY-NC-4.0",
        "89 languages; needs code from its repository, which is never run here: encode elsewhere, features:FOLDER",
        False,
        False,
    ),
)
