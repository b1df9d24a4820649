"""A whole validation from its files: correlations, smaller benchmarks, the curse of multilinguality."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from babel_eval.correlation.curse import Curse, curse_of_multilinguality, read_facts
from babel_eval.correlation.figures import Correlation, correlate
from babel_eval.correlation.joining import Joined, Score, join, read_all, select_models
from babel_eval.correlation.scatter import point_rows
from babel_eval.correlation.subsets import Subset, read_decisions, subsample
from babel_eval.results import Results, predictions_path, read_results


@dataclass(frozen=True)
class Analysis:
    """What `analyse` found.

    Attributes:
      models: in the order of the files.
      entries: each set, prompt set and score with its correlation; None where fewer than 3 points joined.
      subsets: prompt set → smaller benchmarks.
      curses: one a prompt set.
      notes: what could not be computed, and why.
    """

    models: list[str]
    entries: list[tuple[Joined, Correlation | None]]
    subsets: dict[str, list[Subset]] = field(default_factory=dict)
    curses: list[Curse] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Give every figure at full precision, in JSON's types."""
        return {
            "models": self.models,
            "correlations": [
                {
                    "set": joined.task,
                    "prompt": joined.prompt,
                    "score": joined.score,
                    "figures": None if figures is None else figures.as_dict(),
                    "points": point_rows(joined),
                    "unjoined": [asdict(u) for u in joined.unjoined],
                }
                for joined, figures in self.entries
            ],
            "subsets": {prompt: [s.as_dict() for s in subsets] for prompt, subsets in self.subsets.items()},
            "curse_of_multilinguality": [curse.as_dict() for curse in self.curses],
            "notes": self.notes,
        }

    def points_csv(self) -> str:
        """Give every point as CSV: set, prompt, score, model, code, language, accuracy, value."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(["set", "prompt", "score", "model", "code", "language", "accuracy", "value"])
        for joined, _ in self.entries:
            for row in point_rows(joined):
                writer.writerow([joined.task, joined.prompt, joined.score, *row.values()])
        return buffer.getvalue()


def analyse(
    files: Sequence[Path | str],
    *,
    models: Sequence[str] = (),
    exclude: Iterable[str] = (),
    n_resamples: int = 10_000,
    seed: int = 0,
    n_draws: int = 0,
    facts: Path | str | None = None,
) -> Analysis:
    """Correlate the zero-shot results among some files with everything else among them.

    Args:
      files: result files and CSV tables, see `joining.read_scores`.
      models: names or shell patterns; empty for all.
      exclude: languages that shall not become points, nor be part of a smaller benchmark.
      n_resamples: bootstrap resamples an interval.
      seed: of resamples and draws.
      n_draws: random parts of the benchmark a size; 0 leaves smaller benchmarks out.
      facts: CSV with what is known of models, see `curse.read_facts`.

    Raises:
      ValueError: nothing to correlate, or a file is not what it should be.
    """
    scores = select_models(read_all(files), models)
    entries: list[tuple[Joined, Correlation | None]] = []
    gone = frozenset(exclude)
    for joined in join(scores, exclude=gone):
        enough = len(joined.points.x) >= 3
        entries.append((joined, correlate(joined.points, n_resamples=n_resamples, seed=seed) if enough else None))
    known = list(dict.fromkeys(score.model for score in scores))
    runs = _zero_shot_runs(scores)
    analysis = Analysis(known, entries)
    prompts = list(dict.fromkeys(score.name for score in scores if score.task == "zero-shot"))
    given = read_facts(facts) if facts is not None else None
    for prompt in prompts:
        if (curse := curse_of_multilinguality(runs, prompt, given)) is not None:
            analysis.curses.append(curse)
        if n_draws:
            _add_subsets(analysis, [s for s in scores if s.language not in gone], runs, prompt, n_draws, seed)
    return analysis


def _zero_shot_runs(scores: Sequence[Score]) -> list[Results]:
    return [read_results(path) for path in dict.fromkeys(s.source for s in scores if s.task == "zero-shot")]


def _add_subsets(
    analysis: Analysis, scores: Sequence[Score], runs: Sequence[Results], prompt: str, n_draws: int, seed: int
) -> None:
    whole = {(s.model, s.language): s.value for s in scores if (s.task, s.name) == ("zero-shot", prompt)}
    others: dict[str, dict[tuple[str, str], float]] = {}
    for s in scores:
        if s.task != "zero-shot":
            others.setdefault(f"{s.task} {s.name}", {})[s.model, s.language] = s.value
    paths = [run.path for run in runs if run.path is not None]
    without = [path.name for path in paths if not predictions_path(path).exists()]
    if without:
        note = f"no decisions beside {', '.join(without)}: only languages can be left out, not photos or classes"
        if note not in analysis.notes:
            analysis.notes.append(note)
        photos, cells = None, None
    else:
        photos, cells = read_decisions(paths, prompt)
        cells = {cell: decisions for cell, decisions in cells.items() if cell in whole}
    analysis.subsets[prompt] = subsample(whole, others, photos, cells, n_draws=n_draws, seed=seed)
