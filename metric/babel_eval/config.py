"""Settings of a run, checked when built; importing them costs nothing, so that `--help` is instant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

TOKEN_POLICIES = ("strict", "skip", "fallback")
PROMPTS = ("label", "openai_en", "nllb", "auto")
PROMPT_MODES = ("released", "clean")
DTYPES = ("fp32", "bf16", "fp16")


@dataclass(frozen=True)
class EvaluateConfig:
    """Settings of a run; the help texts are the command line's."""

    model: str = field(metadata={"help": "model string, e.g. conse-e5 or open_clip:NAME@TAG; see `models`"})
    images: str = field(metadata={"help": "sample, names, a folder, Parquet, or hf:NAME:SPLIT"})
    out: str = field(metadata={"help": "JSON file for the results; decisions go to Parquet beside it"})
    languages: str = field(default="all", metadata={"help": "codes and groups, e.g. de,sw | 92 | 298 | vlow | all"})
    prompts: str = field(default="label", metadata={"help": "label, openai_en, nllb, auto, or a list of these"})
    prompt_mode: str = field(
        default="released",
        metadata={"help": "templates of nllb: released (all 80) or clean (without those that translation spoiled)"},
    )
    templates: str | None = field(
        default=None, metadata={"help": "file of templates for nllb and auto; default: the published one"}
    )
    labels: str | None = field(default=None, metadata={"help": "label file or release; default: the installed one"})
    device: str | None = field(default=None, metadata={"help": "cuda, cuda:1, mps or cpu; default: the best there is"})
    dtype: str = field(default="fp32", metadata={"help": "fp32, bf16 or fp16; the latter are compared with fp32 first"})
    compile: bool = field(
        default=False, metadata={"help": "compile the towers; they are compared with plain ones first"}
    )
    precision_sample: int = field(
        default=512, metadata={"help": "photos of the comparison with fp32; 0 goes without it, and the result says so"}
    )
    reference_mode: bool = field(
        default=False,
        metadata={"help": "compute as the reference runner does, to compare with its files (docs/paper.md)"},
    )
    batch_size: int = field(default=32, metadata={"help": "photos a batch"})
    workers: int = field(default=2, metadata={"help": "threads that decode photos"})
    language_token: str = field(
        default="fallback",
        metadata={"help": "languages that a model with language tokens (NLLB) lacks: strict, skip or fallback"},
    )
    store: str | None = field(default=None, metadata={"help": "folder of kept features; default: the user's cache"})
    resume: bool = field(default=False, metadata={"help": "go on with an interrupted run of the same settings"})
    overwrite: bool = field(default=False, metadata={"help": "replace an existing result file"})
    allow_missing_images: bool = field(
        default=False, metadata={"help": "exit 0 although photos could not be read; they are counted either way"}
    )

    def __post_init__(self) -> None:
        unknown = [p for p in self.prompt_sets if p not in PROMPTS]
        if unknown or not self.prompt_sets:
            raise ValueError(f"--prompts {self.prompts!r}: allowed are {', '.join(PROMPTS)}, or a comma list of these")
        if self.templates is not None and not {"nllb", "auto"} & set(self.prompt_sets):
            raise ValueError(f"--templates is read for --prompts nllb or auto, and --prompts is {self.prompts!r}")
        _check_choice("--prompt-mode", self.prompt_mode, PROMPT_MODES)
        _check_choice("--language-token", self.language_token, TOKEN_POLICIES)
        _check_choice("--dtype", self.dtype, DTYPES)
        if self.batch_size < 1 or self.workers < 1:
            raise ValueError(f"batch size and workers must be at least 1, got {self.batch_size} and {self.workers}")
        if self.precision_sample < 0:
            raise ValueError(f"--precision-sample must be 0 or a number of photos, got {self.precision_sample}")
        if self.reference_mode and (self.dtype != "fp32" or self.compile):
            raise ValueError("--reference-mode computes as the reference does: give neither --dtype nor --compile")
        if self.resume and self.overwrite:
            raise ValueError("--resume keeps a result file and --overwrite replaces it: choose one")

    @property
    def prompt_sets(self) -> tuple[str, ...]:
        """The prompt sets asked for, each once, in order."""
        return tuple(dict.fromkeys(p.strip() for p in self.prompts.split(",") if p.strip()))


@dataclass(frozen=True)
class RetrieveConfig:
    """Settings of a run; the help texts are the command line's."""

    model: str = field(metadata={"help": "model string, e.g. conse-e5 or open_clip:NAME@TAG"})
    dataset: str = field(metadata={"help": "JSON, captions.jsonl, a folder of XTD or xFlickrCO, or hf:NAME:SPLIT"})
    out: str = field(metadata={"help": "JSON file for the results"})
    image_root: str | None = field(default=None, metadata={"help": "folder of the photos, where they are files"})
    languages: str = field(default="all", metadata={"help": "the set's own names or codes, de,jp; or all"})
    k: tuple[int, ...] = field(default=(1, 5, 10), metadata={"help": "cut-offs of recall, at most the gallery"})
    image_column: str = field(default="image", metadata={"help": "column of the photo (hf:)"})
    caption_column: str = field(default="caption", metadata={"help": "column of a caption or a list of them (hf:)"})
    language_column: str = field(default="language", metadata={"help": "column of the language (hf:)"})
    device: str | None = field(default=None, metadata={"help": "cuda, cuda:1, mps or cpu; default: the best there is"})
    dtype: str = field(default="fp32", metadata={"help": "fp32, bf16 or fp16; the latter are compared with fp32 first"})
    compile: bool = field(
        default=False, metadata={"help": "compile the towers; they are compared with plain ones first"}
    )
    precision_sample: int = field(
        default=512, metadata={"help": "photos of the comparison with fp32; 0 goes without it, and the result says so"}
    )
    batch_size: int = field(default=32, metadata={"help": "photos a batch"})
    workers: int = field(default=2, metadata={"help": "threads that decode photos"})
    language_token: str = field(
        default="fallback",
        metadata={"help": "languages that a model with language tokens (NLLB) lacks: strict, skip or fallback"},
    )
    store: str | None = field(default=None, metadata={"help": "folder of kept features; default: the user's cache"})
    n_resamples: int = field(default=10_000, metadata={"help": "resamples of an interval"})
    seed: int = field(default=0, metadata={"help": "of the resamples"})
    allow_missing_images: bool = field(default=False, metadata={"help": "leave out photos that cannot be read"})
    allow_blank_captions: bool = field(default=False, metadata={"help": "leave out blank captions"})
    overwrite: bool = field(default=False, metadata={"help": "replace an existing result file"})

    def __post_init__(self) -> None:
        if not self.k or min(self.k) < 1:
            raise ValueError(f"k must be whole numbers of at least 1, got {self.k}")
        _check_choice("--language-token", self.language_token, TOKEN_POLICIES)
        _check_choice("--dtype", self.dtype, DTYPES)
        if self.workers < 1 or self.precision_sample < 0:
            raise ValueError(
                "workers must be at least 1, and --precision-sample 0 or a number of photos, "
                f"got {self.workers} and {self.precision_sample}"
            )
        if self.batch_size < 1 or self.n_resamples < 100:
            raise ValueError(
                "batch size must be at least 1 and resamples at least 100, "
                f"got {self.batch_size} and {self.n_resamples}"
            )


def _check_choice(flag: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{flag} {value!r} is unknown; allowed: {', '.join(allowed)}")


def help_texts(config: type) -> Callable[[str], str]:
    """Give a function that finds the help text of a field of some settings, for the command line."""
    return lambda name: str(config.__dataclass_fields__[name].metadata["help"])  # type: ignore[attr-defined]
