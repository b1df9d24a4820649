"""The audit of the labels in a report: what `babel-imagenet audit --out FILE.json` wrote, as a table of its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from babel_eval.reporting.data import Row
from babel_imagenet_dataset.audit import FLAGS
from babel_imagenet_dataset.cleaning import STEPS
from babel_imagenet_dataset.files import read_json
from babel_imagenet_dataset.languages import language

FORMAT = 1
_HEADERS = (
    "classes", "no win", "ceiling, %", "own script, %", "flagged", "changed", "null", "human name",
    "wrong, by meaning, %", "wrong, judged, %", "cleaned, points", "human, points",
)  # fmt: skip


def take_audit(files: Sequence[Path | str]) -> tuple[list[Path | str], dict[str, Any] | None]:
    """Part the audit from the result files among which it was given.

    Returns:
      the other files in order, and the audit; None where there is none.

    Raises:
      ValueError: there are two audits, or one of another format.
    """
    is_audit = [_is_audit(Path(file)) for file in files]
    found = [file for file, holds in zip(files, is_audit, strict=True) if holds]
    if len(found) > 1:
        raise ValueError(f"a report shows one audit, got {len(found)}: {', '.join(map(str, found))}")
    rest = [file for file, holds in zip(files, is_audit, strict=True) if not holds]
    if not found:
        return rest, None
    audit = read_json(found[0])
    if audit["audit"] != FORMAT:
        raise ValueError(f"{found[0]}: an audit of format {audit['audit']}, this version reads {FORMAT}; audit anew")
    return rest, audit


def audit_rows(audit: Mapping[str, Any]) -> list[Row]:
    """Give a row a language with every figure of the audit, for the file beside the page."""
    shares = audit["meaning"]["languages"] if audit["meaning"] else {}
    judged = {rate["language"]: rate for rate in audit["judged"]}
    effects = {(one["language"], one["other"]): one for one in (audit["effect"] or {"rows": []})["rows"]}
    rows = []
    for one in audit["languages"]:
        code = one["language"]
        row: Row = {"lang": code, "name": language(code).name}
        row |= {key: one[key] for key in ("group", "n_classes", "coverage", "n_cannot_win", "ceiling", "script_purity")}
        row |= {"n_of_other_english": len(one["of_other_english"]), "n_refused": len(one["refused"])}
        row |= {key: one[key] for key in ("n_flagged", "n_changed", "n_null")}
        row |= {name: one["flags"].get(name, 0) for name in (*FLAGS, *STEPS)}
        human = one["human"] or {}
        row |= {"n_equal_human": human.get("n_equal"), "n_human_of_other_class": human.get("n_of_other_class")}
        share, rate = shares.get(code, {}), judged.get(code, {})
        row |= {"meaning": share.get("status"), "wrong_share": share.get("share")}
        row |= _ends("wrong_share", share.get("interval"))
        row |= {"n_judged": rate.get("n_judged"), "judged_rate": rate.get("rate")} | _ends(
            "judged", rate.get("interval")
        )
        for kind in ("clean", "human"):
            effect = effects.get((code, kind), {})
            row |= {f"{kind}_difference": effect.get("difference")} | _ends(kind, effect.get("interval"))
        rows.append(row)
    return rows


def audit_view(audit: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Give what the page shows of an audit: headers, a row of texts a language, and lines below; columns with nothing
    in them are left out."""
    if audit is None:
        return None
    rows = [(row["name"], row["lang"], _texts(row)) for row in audit_rows(audit)]
    shown = [i for i in range(len(_HEADERS)) if any(texts[i] for _, _, texts in rows)]
    return {
        "headers": [_HEADERS[i] for i in shown],
        "rows": [(name, code, [texts[i] for i in shown]) for name, code, texts in rows],
        "lines": _lines(audit),
    }


def share_text(status: str, share: float | None, interval: Sequence[float] | None, times: int = 1) -> str:
    """Give an estimate or a bound as text, in hundredths of its unit (1), or in tenths of percent (100)."""
    if share is None or interval is None:
        return status
    places = 2 if times == 1 else 1
    low, high = (f"{times * end:.{places}f}" for end in interval)
    return f"at most {high}" if status == "upper bound" else f"{times * share:.{places}f} [{low}, {high}]"


def _texts(row: Row) -> list[str]:
    return [
        str(row["n_classes"]),
        str(row["n_cannot_win"]),
        f"{100 * row['ceiling']:.1f}",
        f"{100 * row['script_purity']:.1f}",
        str(row["n_flagged"]),
        str(row["n_changed"]),
        str(row["n_null"]),
        "" if row["n_equal_human"] is None else str(row["n_equal_human"]),
        share_text(row["meaning"] or "", row["wrong_share"], _interval(row, "wrong_share"), 100),
        share_text("", row["judged_rate"], _interval(row, "judged"), 100),
        _points(row, "clean"),
        _points(row, "human"),
    ]


def _lines(audit: Mapping[str, Any]) -> list[str]:
    labels, totals = audit["labels"], audit["totals"]
    lines = [
        f"{labels['file']}: {totals['n_labels']:,} labels in {totals['n_languages']} languages, of which "
        f"{totals['n_cannot_win']} can never be predicted; cleaning changes {totals['n_changed']:,}, "
        f"{totals['n_null']} of them to none."
    ]
    if audit["meaning"]:
        lines.append(
            f"Wrong, by meaning ({audit['meaning']['model']}): labels that mean another thing, as far as the encoder "
            "can tell; an estimate where people's names are known, else an upper bound. The paper says under 1 %."
        )
    for rate in audit["judged"]:
        if rate["language"] == "all" and rate["rate"] is not None:
            told = share_text("", rate["rate"], rate["interval"], 100)
            lines.append(f"Judged by people: {rate['n_judged']} labels, {told} % wrong.")
    if audit["effect"]:
        lines.append(
            f"Points: accuracy under these labels less accuracy under the released ones ({audit['effect']['model']}), "
            "same classes and photos, with the paired 95 % interval."
        )
    return lines


def _points(row: Row, kind: str) -> str:
    difference, interval = row[f"{kind}_difference"], _interval(row, kind)
    if difference is None or interval is None:
        return ""
    return f"{100 * difference:+.1f} [{100 * interval[0]:+.1f}, {100 * interval[1]:+.1f}]"


def _interval(row: Row, name: str) -> tuple[float, float] | None:
    return None if row[f"{name}_low"] is None else (row[f"{name}_low"], row[f"{name}_high"])


def _ends(name: str, interval: Sequence[float] | None) -> Row:
    low, high = interval or (None, None)
    return {f"{name}_low": low, f"{name}_high": high}


def _is_audit(path: Path) -> bool:
    if path.suffix != ".json" or not path.is_file():
        return False
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read(64).lstrip("{ \r\n\t").startswith('"audit"')
