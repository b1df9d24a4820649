"""Translate English captions into languages with NLLB, ready for `train_adapter.py --train-data`.

    python translate_captions.py --captions ccs_synthetic.json --languages lo --limit 1000          # laptop
    python translate_captions.py --captions ccs_synthetic.json --languages lo,si,sw --dtype bf16    # one GPU
    torchrun --nproc_per_node 8 translate_captions.py --captions ccs_synthetic.json --languages lo --dtype bf16

Reads Parquet, JSONL, JSON (BLIP's lists of `{"image" or "url", "caption"}` among them), CSV, TSV and `hf:NAME:SPLIT`.
Each distinct caption is translated once, longest first, in batches by tokens. What is translated stands on disk at
once: a second run of the same command, after a kill too, goes on. Several processes, on one machine or on several with
one file system, take a part each; the one that ends last writes `--out`, a Parquet file with columns `target`,
`english` and, where the captions have images, `image`. Source: Geigle et al. 2023 (arXiv:2306.08658), section 6.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from babel_adapters.options import option, parse
from babel_eval.shell import guard

ENGLISH_COLUMNS = ("english", "caption", "text")
IMAGE_COLUMNS = ("image", "url")


@dataclass(frozen=True)
class TranslateConfig:
    """All settings of a run; the help texts are the command line's."""

    captions: str = option("", "English captions: a file .parquet .jsonl .json .csv .tsv, or hf:NAME:SPLIT", "data")
    languages: str = option("lo", "codes and groups, comma separated", "data")
    english_column: str | None = option(None, f"default: the first of {', '.join(ENGLISH_COLUMNS)}", "data")
    image_column: str | None = option(
        None, f"default: the first of {', '.join(IMAGE_COLUMNS)}, if any; '': none", "data"
    )
    limit: int | None = option(None, "most rows to read", "data")
    streaming: bool = option(False, "read hf: datasets as a stream", "data")
    out: str = option("captions/{language}.parquet", "file; {language} is the code in lower case", "output")
    model: str = option("facebook/nllb-200-distilled-1.3B", "NLLB model: id on the Hub or folder", "model")
    device: str | None = option(None, "as torch names it; default: the best there is", "model")
    dtype: str = option("fp32", "fp32, bf16 or fp16", "model")
    beams: int = option(1, "1 is greedy, as in the paper", "model")
    max_new_tokens: int = option(200, "longest translation, in tokens", "model")
    tokens_at_once: int = option(4096, "tokens a batch, padding counted; halved where memory runs out", "model")
    captions_at_once: int = option(512, "captions between two writes", "model")

    def __post_init__(self) -> None:
        if not self.captions:
            raise ValueError("--captions is needed: a file of English captions, or hf:NAME:SPLIT")
        if not self.out.endswith(".parquet"):
            raise ValueError(f"--out must end in .parquet, got {self.out!r}")
        for name in ("beams", "max_new_tokens", "tokens_at_once", "captions_at_once"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit must be at least 1, got {self.limit}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Translate the captions into each language; 0 if all went well."""
    from babel_eval.translate import NLLB
    from babel_imagenet_dataset.languages import resolve
    from babel_imagenet_dataset.release import load_labels

    config = parse(TranslateConfig, arguments, description=(__doc__ or "").partition("\n\n")[0])
    languages = resolve(config.languages, load_labels(None).n_classes)
    if len(languages) > 1 and "{language}" not in config.out:
        raise ValueError(f"--out {config.out!r} needs {{language}} in it for {len(languages)} languages")
    rows = read_captions(config)
    translator = NLLB(
        config.model, own_device(config.device), config.dtype, beams=config.beams,
        max_new_tokens=config.max_new_tokens, tokens_at_once=config.tokens_at_once,
    )  # fmt: skip
    for language in languages:
        one_language(config, translator, language, rows, own_share())
    return 0


def one_language(
    config: TranslateConfig, translator: Any, language: str, rows: Sequence[Mapping[str, Any]], share: tuple[int, int]
) -> bool:
    """Translate this process's part, and write the file if every part is there; tells whether it was written.

    Args:
      config: the settings.
      translator: as `babel_eval.translate.Translator`.
      language: BabelNet's code.
      rows: captions, each with `english` and perhaps `image`.
      share: this process's number and how many there are.
    """
    from tqdm import tqdm

    from babel_eval.translate import target_of, translate_file

    out = Path(config.out.replace("{language}", language.lower()))
    number, total = share
    parts = [out.with_name(f"{out.stem}.parts") / f"{n}-of-{total}.jsonl" for n in range(total)]
    parts[number].parent.mkdir(parents=True, exist_ok=True)
    texts, target = [row["english"] for row in rows], target_of(language)
    with tqdm(desc=language, unit="caption", disable=number != 0) as bar:

        def on_done(done: int, n_texts: int) -> None:
            bar.total = n_texts
            bar.update(done - bar.n)

        translate_file(translator, texts, target, parts[number], share, config.captions_at_once, on_done)
    known = _all_parts(parts)
    if any(text not in known for text in texts):
        return False
    write_pairs(out, rows, known)
    return True


def _all_parts(parts: Sequence[Path]) -> dict[str, str]:
    """Give what all processes have translated so far."""
    from babel_eval.translate import read_translations

    return {text: done for path in parts if path.is_file() for text, done in read_translations(path).items()}


def read_captions(config: TranslateConfig) -> list[dict[str, Any]]:
    """Give the captions as rows with `english` and, where there are images, `image`.

    Raises:
      ValueError: a column is missing, a caption is no text, more than 1 % are blank, or there is none.
      FileNotFoundError: there is no such file.
    """
    from babel_adapters.captions import clean
    from babel_adapters.tables import folder_of, pairs_of

    first, rows = _peek(_raw_rows(config))
    english = config.english_column or next((c for c in ENGLISH_COLUMNS if c in first), ENGLISH_COLUMNS[0])
    image = config.image_column
    if image is None:
        image = next((c for c in IMAGE_COLUMNS if c in first), None)
    folder = folder_of(config.captions)
    pairs = pairs_of(islice(rows, config.limit), _columns(english, image), config.captions, folder and folder.resolve())
    kept = clean(config.captions, pairs)
    left_out = ", ".join(f"{n} {reason}" for reason, n in kept.left_out.items() if n)
    if left_out and own_share()[0] == 0:
        sys.stderr.write(f"{config.captions}: {len(kept.pairs)} captions; left out: {left_out}\n")
    images = [{"image": pair.image} if image else {} for pair in kept.pairs]
    return [{"english": pair.target, **more} for pair, more in zip(kept.pairs, images, strict=True)]


def _columns(english: str, image: str | None) -> Any:
    from babel_adapters.pairs import Columns

    return Columns(target=english, english=None, image=image)


def _raw_rows(config: TranslateConfig) -> Iterator[Mapping[str, Any]]:
    from babel_adapters.tables import dataset_rows, rows_of

    if config.captions.startswith("hf:"):
        return dataset_rows(config.captions, streaming=config.streaming, flag="--captions")
    path = Path(config.captions)
    if not path.is_file():
        raise FileNotFoundError(f"--captions {path}: no such file")
    return rows_of(path)


def _peek(rows: Iterator[Mapping[str, Any]]) -> tuple[Mapping[str, Any], Iterator[Mapping[str, Any]]]:
    """Give the first row, and all rows."""
    first = next(rows, None)
    if first is None:
        raise ValueError("there is no caption in the data")

    def everything() -> Iterator[Mapping[str, Any]]:
        yield first
        yield from rows

    return first, everything()


def write_pairs(out: Path, rows: Sequence[Mapping[str, Any]], translations: Mapping[str, str]) -> None:
    """Write rows with their translations as Parquet, whole or not at all; blank translations are left in.

    `train_adapter.py` counts blank captions and refuses more than 1 % of them.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from babel_imagenet_dataset.files import atomic_path

    with atomic_path(out) as part:
        pq.write_table(pa.Table.from_pylist([{"target": translations[row["english"]], **row} for row in rows]), part)


def own_share() -> tuple[int, int]:
    """Give this process's number and how many a launcher started; 0 of 1 without a launcher."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def own_device(device: str | None) -> str | None:
    """Give this process a GPU of its own where a launcher started several."""
    import torch

    if device is None and "LOCAL_RANK" in os.environ and torch.cuda.is_available():
        return f"cuda:{int(os.environ['LOCAL_RANK']) % torch.cuda.device_count()}"
    return device


if __name__ == "__main__":
    sys.exit(guard(main, "stopped; the same command goes on where it was"))
