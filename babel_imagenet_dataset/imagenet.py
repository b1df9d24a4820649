"""ImageNet-1k's classes: wnids, English names, WordNet's words and definitions, and the 80 English templates.

Everything is read as data out of the packages that ship it (timm, open_clip_torch): neither is imported, so no torch
is loaded. Releases of the two may move or extend their files; what is read is therefore checked by the sha256 of its
content (`files.sha256_of_text`), not of the file. Seen equal in open_clip_torch 2.30.0, 3.1.0, 3.3.0 and timm
0.9.16, 1.0.12, 1.0.31.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from babel_imagenet_dataset.files import sha256_of_text
from babel_imagenet_dataset.packaged import packaged_file

N_CLASSES = 1000

_OPEN_CLIP = ("open_clip_torch", "open_clip/zero_shot_metadata.py")
_SHA256 = {
    "wnids": "7449f95d0dcf63a5f0c92c12bcf80b76e5a5a775f49dd4f2d26ddba751a3eaed",
    "class names": "a6200ee0be8655d81d063b38024aab5b7e83bcc137305e7a05ba5f3eb1fb48c5",
    "templates": "561bd34b8a4170255a3773e0dba393f2a8637616e09a3c3dd94182a9c73cbf49",
    "lemmas": "4d6e0d8c27ab96b29dca4b871e7d8373b762b5107d31c6ae9730201dcb069a66",
    "definitions": "6550ef8fabfda462856243f7fb5601de7819288977dfe4922862ba0194616c30",
}


@dataclass(frozen=True)
class Synset:
    """A class of ImageNet-1k as WordNet 3.0 has it."""

    class_index: int
    wnid: str
    lemmas: tuple[str, ...]
    definition: str


@cache
def wnids() -> tuple[str, ...]:
    """Give the 1000 wnids in ImageNet-1k order: `wnids()[class_index]`; `n01440764` is 0, `n15075141` is 999."""
    return _checked("wnids", _info("imagenet_synsets.txt"))


@cache
def class_index_of() -> dict[str, int]:
    """Give the class index, 0..999, of each wnid."""
    return {wnid: index for index, wnid in enumerate(wnids())}


@cache
def english_class_names() -> tuple[str, ...]:
    """Give the 1000 English class names by OpenAI, by class index; `missile` and `sunglasses` stand there twice.

    Source: Radford et al. 2021 (arXiv:2103.00020), as open_clip keeps them.
    """
    names = ast.literal_eval(_assigned("IMAGENET_CLASSNAMES"))
    return _checked("class names", names)


@cache
def openai_templates() -> tuple[str, ...]:
    """Give the 80 English templates, each with one `{}` where the class name goes.

    Source: Radford et al. 2021 (arXiv:2103.00020), as open_clip keeps them.
    """
    functions = _assigned("OPENAI_IMAGENET_TEMPLATES")
    if not isinstance(functions, (ast.Tuple, ast.List)):
        raise ValueError(f"{_OPEN_CLIP[1]}: OPENAI_IMAGENET_TEMPLATES is no literal tuple; report this version")
    return _checked("templates", map(_template, functions.elts))


@cache
def synsets() -> tuple[Synset, ...]:
    """Give WordNet's words and definition of each class, by class index."""
    lemmas = dict(_columns("imagenet_synset_to_lemma.txt"))
    definitions = dict(_columns("imagenet_synset_to_definition.txt"))
    joined = _checked("lemmas", (lemmas[wnid] for wnid in wnids()))
    meanings = _checked("definitions", (definitions[wnid] for wnid in wnids()))
    rows = zip(wnids(), joined, meanings, strict=True)
    return tuple(Synset(i, wnid, tuple(words.split(", ")), text) for i, (wnid, words, text) in enumerate(rows))


def _info(name: str) -> list[str]:
    return packaged_file("timm", f"timm/data/_info/{name}", None, None).read_text(encoding="utf-8").splitlines()


def _columns(name: str) -> Iterable[tuple[str, str]]:
    for line in _info(name):
        wnid, _, text = line.partition("\t")
        yield wnid, text


@cache
def _open_clip_module() -> ast.Module:
    return ast.parse(packaged_file(*_OPEN_CLIP, None, None).read_text(encoding="utf-8"))


def _assigned(name: str) -> ast.expr:
    """Give the expression that open_clip's module assigns to a name."""
    for node in _open_clip_module().body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            return node.value
    raise ValueError(f"{_OPEN_CLIP[1]} assigns no {name}; this version of open_clip_torch is not known, report it")


def _template(function: ast.expr) -> str:
    """Turn `lambda c: f'a photo of a {c}.'` into `a photo of a {}.`."""
    if not isinstance(function, ast.Lambda) or not isinstance(function.body, ast.JoinedStr):
        raise ValueError(f"{_OPEN_CLIP[1]}: a template is no lambda with an f-string: {ast.unparse(function)}")
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in function.body.values)


def _checked(what: str, texts: Iterable[str]) -> tuple[str, ...]:
    found = tuple(texts)
    got, expected = sha256_of_text(*found), _SHA256[what]
    if got != expected:
        raise ValueError(
            f"ImageNet's {what}, read from the installed open_clip_torch and timm, are not those known here: "
            f"{len(found)} of sha256 {got}, expected {expected}. Install versions listed in this module's docstring."
        )
    return found
