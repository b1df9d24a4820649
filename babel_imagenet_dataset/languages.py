"""Languages: BabelNet's code, name, script, tag, direction, resource group; and how a user selects some of them.

The facts of the 298 languages of the published labels stand in `languages.tsv`: number of classes, the script that the
labels are written in (counted over their letters), the published files that hold the language, and a tag or an English
name where BabelNet's code does not give the right one. All other names come from `langcodes` and `language_data`.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

GROUPS = {"vlow": 100, "low": 333, "mid": 666, "high": 1000}
"""Resource groups and the highest number of classes in each (paper, section 4)."""

# What users, papers and tokenizers call a language, beside BabelNet's code, its tag and its ISO 639-3 code.
_ALIASES = {
    "jp": "JA", "fil": "TL", "iw": "HE", "in": "ID", "ji": "YI", "jw": "JV", "mo": "RO", "nb": "NO", "nob": "NO",
    "be-tarask": "BE_X_OLD", "be-x-old": "BE_X_OLD", "zh-hans": "ZH", "zh-hant": "ZH", "sr-cyrl": "SR", "scr": "HR",
    "cmn": "ZH", "arb": "AR", "pes": "FA", "prs": "FA", "zsm": "MS", "swh": "SW", "ekk": "ET", "lvs": "LV", "npi": "NE",
    "ory": "OR", "uzn": "UZ", "azj": "AZ", "khk": "MN", "plt": "MG", "ydd": "YI", "gaz": "OM", "pbt": "PS", "quy": "QU",
    "ayr": "AY", "hbs": "SH", "sr-latn": "SH",
}  # fmt: skip

# Scripts that are written with several of Unicode's: these, and no other, differ from the script of their letters.
_LETTERS = {
    "Jpan": frozenset({"Hani", "Hira", "Kana"}),
    "Kore": frozenset({"Hang", "Hani"}),
    "Hans": frozenset({"Hani"}),
    "Hant": frozenset({"Hani"}),
}


@dataclass(frozen=True)
class Language:
    """What is known of a language.

    Attributes:
      code: BabelNet's code in upper case, `ZH_YUE`.
      name: English name.
      autonym: the language's name in itself; None where `language_data` has none.
      script: ISO 15924 code of the script that its labels are written in, `Latn`.
      tag: BCP-47 tag, `yue`.
      direction: `ltr` or `rtl`.
      n_classes: number of classes in the published labels; None for a language that they lack.
      releases: the published label files that hold it, out of `93` and `298`.
      aliases: other names that a selector may use, in lower case.
    """

    code: str
    name: str
    autonym: str | None
    script: str
    tag: str
    direction: str
    n_classes: int | None
    releases: tuple[str, ...]
    aliases: tuple[str, ...]

    @property
    def config_name(self) -> str:
        """The configuration's name in the published dataset: the code in lower case."""
        return self.code.lower()

    @property
    def group(self) -> str | None:
        """The resource group by the number of classes in the published labels; None for a language they lack."""
        return None if self.n_classes is None else group(self.n_classes)


def codes(release: str = "298") -> tuple[str, ...]:
    """Give the codes of a published set in alphabetical order.

    Args:
      release: `92` (the 93-key file without English), `93`, `100` (the 92 and eight more), `298`.

    Raises:
      ValueError: there is no such set.
    """
    if release == "92":
        return tuple(code for code in codes("93") if code != "EN")
    if release == "100":
        return tuple(sorted({*codes("92"), "WUU", "NV", "CV", "DIQ", "CHR", "CE", "HAK", "NAH"}))
    if release not in ("93", "298"):
        raise ValueError(f"there is no set of languages {release!r}; there is: 92, 93, 100, 298")
    return tuple(code for code, row in _table().items() if release in row["releases"].split(","))


@cache
def language(code: str) -> Language:
    """Give what is known of a language.

    Args:
      code: BabelNet's code, an ISO 639-1 or 639-3 code, a BCP-47 tag or a common alias, in any case: `LO`, `lao`.

    Raises:
      ValueError: no language is known by this code; the nearest ones are proposed.
    """
    found = _canonical(code)
    row = _table().get(found)
    if row is None:
        row = _from_langcodes(code)
        found = code.upper().replace("-", "_")
    tag = row["tag"] or found.lower()
    return Language(
        code=found,
        name=row["name"] or _english_name(tag),
        autonym=_autonym(tag),
        script=row["script"],
        tag=tag,
        direction=direction(row["script"]),
        n_classes=int(row["classes"]) if row["classes"] else None,
        releases=tuple(filter(None, row["releases"].split(","))),
        aliases=tuple(sorted(alias for alias, target in _aliases().items() if target == found)),
    )


def group(n_classes: int) -> str:
    """Give the resource group by number of classes: `vlow` up to 100, `low` up to 333, `mid` up to 666, else `high`.

    Raises:
      ValueError: `n_classes` is not within 1..1000.
    """
    if not 1 <= n_classes <= 1000:
        raise ValueError(f"a language has 1 to 1000 classes, got {n_classes}")
    return next(name for name, highest in GROUPS.items() if n_classes <= highest)


def resolve(selectors: str | Iterable[str], available: Iterable[str] | Mapping[str, int]) -> list[str]:
    """Turn selectors into codes: in the order of the selectors, each code once; a set's codes in alphabetical order.

    Args:
      selectors: comma-separated text or a list: codes, ISO 639-1/-3 codes and common aliases (`de`, `swa`, `jp`); sets
        `92`, `93`, `100`, `298`; groups `vlow`, `low`, `mid`, `high` (those of `available`); `all` (all `available`).
      available: the codes that the label file at hand holds, or a mapping of them to their numbers of classes, by
        which the groups go then; else they go by the published numbers.

    Returns:
      BabelNet's codes in upper case.

    Raises:
      ValueError: nothing is selected, a code is unknown (the nearest are proposed), the file lacks a language (the
        file that has it is named), or a group holds no language of the file.
    """
    parts = selectors.split(",") if isinstance(selectors, str) else list(selectors)
    wanted = [part.strip() for part in parts if part.strip()]
    if not wanted:
        raise ValueError("no language is selected; give codes (de,sw), a set (92, 100, 298), a group (low) or all")
    counts = dict(available) if isinstance(available, Mapping) else dict.fromkeys(available)
    chosen: dict[str, None] = {}
    for selector in wanted:
        chosen.update(dict.fromkeys(_resolve_one(selector, counts)))
    missing = [code for code in chosen if code not in counts]
    if missing:
        raise ValueError(_missing(missing, len(counts)))
    return list(chosen)


def letters_of(script: str) -> frozenset[str]:
    """Give the Unicode scripts that a language's script is written with: `Jpan` has three, `Latn` itself alone."""
    return _LETTERS.get(script, frozenset({script}))


def direction(script: str) -> str:
    """Give `rtl` or `ltr` for an ISO 15924 script code."""
    from fontTools.unicodedata import script_horizontal_direction

    return str(script_horizontal_direction(min(letters_of(script)), "LTR")).lower()


def nearest(code: str, among: Iterable[str]) -> list[str]:
    """Give up to three of `among` that a mistyped code, alias or English name may have meant, best first."""
    names = {entry.lower(): entry for entry in among}
    names |= {alias: target for alias, target in _aliases().items() if target in names.values()}
    names |= {_name_of(target).lower(): target for target in set(names.values()) & set(_table())}
    close = difflib.get_close_matches(_spelling(code), names, n=6, cutoff=0.5)
    return list(dict.fromkeys(names[match] for match in close))[:3]


def _resolve_one(selector: str, counts: Mapping[str, int | None]) -> Iterator[str]:
    spelled = selector.lower()
    if spelled == "all":
        yield from sorted(counts)
    elif spelled in GROUPS:
        members = [code for code in sorted(counts) if group(_count(code, counts)) == spelled]
        if not members:
            raise ValueError(f"no language of the file at hand is in the group {spelled!r} ({len(counts)} languages)")
        yield from members
    elif spelled.isdigit():
        yield from codes(spelled)
    elif selector.upper() in counts:
        yield selector.upper()
    else:
        yield _known(selector, counts)


def _known(selector: str, counts: Mapping[str, int | None]) -> str:
    code = _canonical(selector)
    if code not in _table():
        raise ValueError(_unknown(selector, {*counts, *_table()}))
    return code


def _count(code: str, counts: Mapping[str, int | None]) -> int:
    n_classes = counts[code] or int(_table().get(code, {}).get("classes", 0))
    if not n_classes:
        raise ValueError(f"the number of classes of {code!r} is not known: give `available` as a mapping of code to it")
    return n_classes


def _missing(missing: list[str], n_available: int) -> str:
    elsewhere = [code for code in missing if "298" in _table().get(code, {}).get("releases", "")]
    shown = ", ".join(missing[:8]) + (f" and {len(missing) - 8} more" if len(missing) > 8 else "")
    text = f"the label file at hand ({n_available} languages) lacks: {shown}."
    if elsewhere:
        text += " The published file babel_imagenet-298.json has them: --labels 298 downloads it (or --labels PATH)."
    return text


def _spelling(code: str) -> str:
    return code.strip().lower().replace("_", "-")


def _canonical(code: str) -> str:
    """Give BabelNet's code of a code or alias; an unknown one comes back in upper case."""
    plain = code.strip().upper().replace("-", "_")
    return plain if plain in _table() else _aliases().get(_spelling(code), plain)


@cache
def _table() -> dict[str, dict[str, str]]:
    text = (files("babel_imagenet_dataset") / "languages.tsv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    return {row["code"]: row for row in rows}


@cache
def _aliases() -> dict[str, str]:
    """Give what may stand for a code: aliases, tags, ISO 639-3 codes; a code of the table is never another's alias."""
    found = {}
    for code, row in _table().items():
        tag = (row["tag"] or code).lower()
        for alias in (tag, _alpha3(tag)):
            if alias and alias.upper().replace("-", "_") not in _table():
                found[alias] = code
    return found | _ALIASES


def _alpha3(tag: str) -> str | None:
    from langcodes import Language as Tag

    if not re.fullmatch(r"[a-z]{2}", tag):
        return None
    return Tag.get(tag, normalize=False).to_alpha3()


def _name_of(code: str) -> str:
    row = _table()[code]
    return row["name"] or _english_name(row["tag"] or code.lower())


def _english_name(tag: str) -> str:
    from langcodes import Language as Tag

    return Tag.get(tag, normalize=False).display_name()


def _autonym(tag: str) -> str | None:
    """Give the language's name in itself, where `language_data` holds one under the language's own subtag."""
    from langcodes import Language as Tag
    from language_data.names import code_to_names

    spoken = Tag.get(tag, normalize=False)
    if not spoken.language or spoken.private or spoken.variants:
        return None
    own = code_to_names(spoken.language).get(spoken.language)
    return str(own) if own else None


def _from_langcodes(code: str) -> dict[str, str]:
    """Give a row for a language that the published labels lack but langcodes knows.

    Raises:
      ValueError: langcodes does not know it either.
    """
    from langcodes import Language as Tag
    from langcodes.tag_parser import LanguageTagError

    try:
        tag = Tag.get(_spelling(code), normalize=False)
    except LanguageTagError as error:
        raise ValueError(_unknown(code, _table())) from error
    if not tag.is_valid():
        raise ValueError(_unknown(code, _table()))
    return {"tag": tag.to_tag(), "script": tag.maximize().script or "Zyyy", "name": "", "classes": "", "releases": ""}


def _unknown(code: str, among: Iterable[str]) -> str:
    close = nearest(code, among)
    hint = f"; did you mean {' or '.join(repr(match) for match in close)}?" if close else "."
    return f"language {code!r} is not known{hint} See: babel-imagenet languages"
