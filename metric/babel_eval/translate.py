"""Translation by NLLB: one path for captions and for templates, in batches of like length, resumable and shardable.

Each distinct text is translated once, longest first, and written to a file of JSON lines as soon as its batch is done;
a second run over the same file translates what is missing. Several processes take a shard each (`shard=(i, n)`), each
with a file of its own.

Templates: the slot `{}` is protected by one marker after another until one survives translation (Geigle et al. 2023,
arXiv:2306.08658, section 4, with its list of markers). A template of which no marker survives has lost its slot: it is
said so, and is put in nowhere in silence.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from babel_eval.encoders.batching import Halving, token_batches
from babel_eval.encoders.nllb import TOKENS
from babel_imagenet_dataset.files import sha256_of_text, write_text

SOURCE = "eng_Latn"
MODEL = "facebook/nllb-200-distilled-1.3B"
TAGS = ("a", "b", "i", "div")
MARKERS = ("{c}", *(f"<{t}>{{c}}</{t}>" for t in TAGS), *(f"<{t}>{{}}</{t}>" for t in TAGS), "°", "*", "#", "§", "※")
"""What stands for the slot, in the order in which the paper's script tries them."""


class Translator(Protocol):
    """Turns texts of one language into another; `fingerprint` says what its output depends on."""

    fingerprint: str

    def translate(self, texts: Sequence[str], target: str) -> list[str]:
        """Give the translation of each text, in order; `target` is an NLLB language token."""
        ...


class NLLB:
    """An NLLB model of `transformers`, greedy or with beams.

    Args:
      model: id on the Hub or folder.
      device: as torch names it; None takes the best there is.
      dtype: `fp32`, `bf16` or `fp16`.
      source: the language token of the texts.
      beams: 1 is greedy, as in the paper.
      max_new_tokens: longest translation; a longer one is cut.
      tokens_at_once: tokens a batch, padding counted; halved where memory runs out.
    """

    def __init__(
        self,
        model: str = MODEL,
        device: str | None = None,
        dtype: str = "fp32",
        source: str = SOURCE,
        beams: int = 1,
        max_new_tokens: int = 200,
        tokens_at_once: int = 4096,
    ) -> None:
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        from babel_eval.encoders.base import choose_device, torch_dtype

        kind = torch_dtype(dtype)
        self._tokenizer = AutoTokenizer.from_pretrained(model, src_lang=source)
        self._model = AutoModelForSeq2SeqLM.from_pretrained(model).eval()
        self._device = choose_device(device)
        self._model.to(device=self._device, dtype=kind)
        self._source, self._beams, self._longest = source, beams, max_new_tokens
        self._budget, self._halving = tokens_at_once, Halving()
        revision = getattr(self._model.config, "_commit_hash", None) or ""
        self.fingerprint = sha256_of_text(model, revision, dtype, source, str(beams), str(max_new_tokens))

    def translate(self, texts: Sequence[str], target: str) -> list[str]:
        """Give the translation of each text, in order.

        Raises:
          ValueError: the model has no such language token.
        """
        bos = self._tokenizer.convert_tokens_to_ids(target)
        if not isinstance(bos, int) or bos == self._tokenizer.unk_token_id:
            raise ValueError(f"the translation model has no language token {target!r}")
        self._tokenizer.src_lang = self._source
        ids = [self._tokenizer(text, truncation=True)["input_ids"] for text in texts]
        found: dict[int, str] = {}
        for batch in token_batches([len(one) for one in ids], self._budget):
            longest = len(ids[batch[0]])
            self._halving.run(batch, lambda some: self._generate(some, ids, bos, found), cost=longest)
        return [found[position] for position in range(len(texts))]

    def _generate(self, positions: list[int], ids: list[list[int]], bos: int, found: dict[int, str]) -> Any:
        import numpy as np
        import torch

        batch = self._tokenizer.pad({"input_ids": [ids[p] for p in positions]}, return_tensors="pt").to(self._device)
        with torch.inference_mode():
            made = self._model.generate(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                forced_bos_token_id=bos,
                num_beams=self._beams,
                do_sample=False,
                max_new_tokens=self._longest,
            )
        found.update(zip(positions, self._tokenizer.batch_decode(made, skip_special_tokens=True), strict=True))
        return np.zeros((len(positions), 1), dtype=np.float32)  # what `Halving` puts together; the texts are in `found`


@dataclass(frozen=True)
class TranslatedTemplate:
    """A template and its translation.

    Attributes:
      template: the English one.
      translation: with one `{}`; None where no marker survived.
      marker: the marker that survived; None where none did.
      first: translation of the template with the first marker, for the reference's way of appending a lost slot.
    """

    template: str
    translation: str | None
    marker: str | None
    first: str

    @property
    def lost_slot(self) -> bool:
        """Whether no marker survived."""
        return self.marker is None

    def released_form(self) -> str:
        """Give the template as the reference writes it: blanks around the slot, a lost slot at the end."""
        return self.translation if self.translation is not None else f"{self.first.replace('{}', '')} {{}}"


def translate_templates(
    translator: Translator, templates: Sequence[str], target: str, markers: Sequence[str] = MARKERS
) -> list[TranslatedTemplate]:
    """Translate templates with their slot protected; the first marker that survives wins.

    Args:
      translator: the model.
      templates: English, each with exactly one `{}`.
      target: NLLB language token.
      markers: tried in order; a template goes on to the next only while none has survived.

    Returns:
      one for each template, in order.

    Raises:
      ValueError: a template has not exactly one `{}`, or there is no marker.
    """
    wrong = [template for template in templates if template.count("{}") != 1]
    if wrong or not markers:
        raise ValueError(f"templates need exactly one {{}} and at least one marker; wrong: {wrong[:3]}")
    firsts: list[str] = []
    done: dict[int, tuple[str, str]] = {}
    for number, marker in enumerate(markers):
        open_ = [row for row in range(len(templates)) if row not in done]
        if not open_:
            break
        made = translator.translate([templates[row].replace("{}", marker) for row in open_], target)
        firsts = firsts if number else list(made)
        for row, text in zip(open_, made, strict=True):
            if marker in text:
                done[row] = (marker, _with_slot(text, marker))
    return [
        TranslatedTemplate(template, done[row][1], done[row][0], firsts[row])
        if row in done
        else TranslatedTemplate(template, None, None, firsts[row])
        for row, template in enumerate(templates)
    ]


def _with_slot(text: str, marker: str) -> str:
    """Put the slot where the marker first stands; further markers, and slots that the model made up, go."""
    before, _, after = text.partition(marker)
    rest = after.replace(marker, "").replace("{}", "")
    return before.replace("{}", "") + " {} " + rest


def translate_file(
    translator: Translator,
    texts: Sequence[str],
    target: str,
    path: Path | str,
    shard: tuple[int, int] = (0, 1),
    texts_at_once: int = 512,
    on_done: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, str]:
    """Translate texts into a file of JSON lines, going on where an earlier run stopped.

    Args:
      translator: the model.
      texts: any number; each distinct one is translated once.
      target: NLLB language token.
      path: the file; its first line says what the translations depend on.
      shard: (i, n): take every n-th distinct text from the i-th on.
      texts_at_once: texts between two writes.
      on_done: told how many of how many are translated.

    Returns:
      translation by text, for the texts of this shard.

    Raises:
      ValueError: the shard is none, or the file was written with another model, target or shard.
    """
    number, total = shard
    if not 0 <= number < total:
        raise ValueError(f"a shard is (i, n) with 0 <= i < n, got {shard}")
    head = {"model": translator.fingerprint, "target": target, "shard": [number, total]}
    known = _read(Path(path), head)
    mine = sorted(dict.fromkeys(texts), key=lambda text: (-len(text), text))[number::total]
    missing = [text for text in mine if text not in known]
    on_done(len(mine) - len(missing), len(mine))
    for start in range(0, len(missing), texts_at_once):
        some = missing[start : start + texts_at_once]
        made = translator.translate(some, target)
        with open(path, "a", encoding="utf-8") as file:
            file.writelines(_line([text, done]) for text, done in zip(some, made, strict=True))
        known.update(zip(some, made, strict=True))
        on_done(len(mine) - len(missing) + start + len(some), len(mine))
    return {text: known[text] for text in mine}


def target_of(language: str, text: str = "") -> str:
    """Give the NLLB token for BabelNet's code, by the script of `text` where there are several.

    Raises:
      ValueError: NLLB has none.
    """
    from babel_eval.encoders.nllb import token_of

    token = token_of(text, language)
    if token is None:
        raise ValueError(f"NLLB does not know {language!r}; it knows {len(TOKENS)} of the languages")
    return token


def read_translations(path: Path | str) -> dict[str, str]:
    """Give what a file of `translate_file` holds, translation by text; a line that is being written is left out."""
    lines = Path(path).read_bytes().rpartition(b"\n")[0].decode("utf-8").split("\n")
    return dict(json.loads(line) for line in lines[1:])


def _read(path: Path, head: dict[str, Any]) -> dict[str, str]:
    """Read what is translated already; a last line that a kill cut short is dropped."""
    if not path.exists():
        write_text(path, _line(head))
        return {}
    content, _, torn = path.read_bytes().rpartition(b"\n")
    whole = content.decode("utf-8").split("\n")
    if torn:
        write_text(path, "".join(f"{line}\n" for line in whole))
    if json.loads(whole[0]) != head:
        raise ValueError(f"{path} holds translations of {whole[0]}, not of {_line(head).strip()}; give another file")
    return dict(json.loads(line) for line in whole[1:])


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"
