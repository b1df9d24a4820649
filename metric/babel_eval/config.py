"""Settings of a run, checked when built; importing them costs nothing, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import dataclass, field

TOKEN_POLICIES = ("strict", "skip", "fallback")
PROMPTS = ("label", "openai_en", "nllb", "auto")
PROMPT_MODES = ("released", "clean")


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
    labels: str | None = field(default=None, metadata={"help": "label file or release; default: the installed one"})
    device: str | None = field(default=None, metadata={"help": "cuda, cuda:1, mps or cpu; default: the best there is"})
    dtype: str = field(default="fp32", metadata={"help": "fp32, bf16 or fp16"})
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
        if self.prompt_mode not in PROMPT_MODES:
            raise ValueError(f"--prompt-mode {self.prompt_mode!r} is unknown; allowed: {', '.join(PROMPT_MODES)}")
        if self.language_token not in TOKEN_POLICIES:
            allowed = ", ".join(TOKEN_POLICIES)
            raise ValueError(f"--language-token {self.language_token!r} is unknown; allowed: {allowed}")
        if self.batch_size < 1 or self.workers < 1:
            raise ValueError(f"batch size and workers must be at least 1, got {self.batch_size} and {self.workers}")
        if self.resume and self.overwrite:
            raise ValueError("--resume keeps a result file and --overwrite replaces it: choose one")

    @property
    def prompt_sets(self) -> tuple[str, ...]:
        """The prompt sets asked for, each once, in order."""
        return tuple(dict.fromkeys(p.strip() for p in self.prompts.split(",") if p.strip()))
