"""Language tokens of NLLB: which of its 202 a text gets, for towers whose tokenizer must know the language.

The map is explicit, language by language, since neither codes nor names agree: BabelNet's `ALS` is Alemannic and NLLB's
`als_Latn` Tosk Albanian; `NO` is Bokmål. Where NLLB tells scripts apart, the script of the text decides.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from babel_eval.encoders.base import LanguageSkipped

POLICIES = ("strict", "skip", "fallback")
FALLBACK = "eng_Latn"

# Languages whose labels NLLB can mark, with the token of each script. Macrolanguages have their standard variety (AZ:
# North Azerbaijani, MG: Plateau Malagasy, KU: Northern Kurdish, in which the labels are written); BE_X_OLD and SIMPLE
# are spellings of a language that has a token; SH is written with the tokens of its two scripts.
_TABLE = """
AF afr_Latn, AK aka_Latn, AM amh_Ethi, AR arb_Arab, ARY ary_Arab, ARZ arz_Arab, AS asm_Beng, AST ast_Latn, AY ayr_Latn,
AZ azj_Latn, AZB azb_Arab, BA bak_Cyrl, BAN ban_Latn, BE bel_Cyrl, BE_X_OLD bel_Cyrl, BG bul_Cyrl, BH bho_Deva,
BHO bho_Deva, BJN bjn_Latn bjn_Arab, BM bam_Latn, BN ben_Beng, BO bod_Tibt, BS bos_Latn, CA cat_Latn, CEB ceb_Latn,
CKB ckb_Arab, CRH crh_Latn, CS ces_Latn, CY cym_Latn, DA dan_Latn, DE deu_Latn, DIN dik_Latn, DZ dzo_Tibt, EE ewe_Latn,
EL ell_Grek, EN eng_Latn, EO epo_Latn, ES spa_Latn, ET est_Latn, EU eus_Latn, FA pes_Arab, FI fin_Latn, FJ fij_Latn,
FO fao_Latn, FR fra_Latn, FUR fur_Latn, GA gle_Latn, GD gla_Latn, GL glg_Latn, GN grn_Latn, GU guj_Gujr, HA hau_Latn,
HE heb_Hebr, HI hin_Deva, HR hrv_Latn, HT hat_Latn, HU hun_Latn, HY hye_Armn, ID ind_Latn, IG ibo_Latn, ILO ilo_Latn,
IS isl_Latn, IT ita_Latn, JA jpn_Jpan, JV jav_Latn, KA kat_Geor, KAB kab_Latn, KG kon_Latn, KI kik_Latn, KK kaz_Cyrl,
KM khm_Khmr, KMR kmr_Latn, KN kan_Knda, KO kor_Hang, KS kas_Arab kas_Deva, KU kmr_Latn ckb_Arab, KY kir_Cyrl,
LB ltz_Latn, LG lug_Latn, LI lim_Latn, LIJ lij_Latn, LMO lmo_Latn, LN lin_Latn, LO lao_Laoo, LT lit_Latn, LTG ltg_Latn,
LV lvs_Latn, MAI mai_Deva, MG plt_Latn, MI mri_Latn, MIN min_Latn, MK mkd_Cyrl, ML mal_Mlym, MN khk_Cyrl, MR mar_Deva,
MS zsm_Latn, MT mlt_Latn, MY mya_Mymr, NE npi_Deva, NL nld_Latn, NN nno_Latn, NO nob_Latn, NSO nso_Latn, NY nya_Latn,
OC oci_Latn, OM gaz_Latn, OR ory_Orya, PA pan_Guru, PAP pap_Latn, PL pol_Latn, PS pbt_Arab, PT por_Latn, QU quy_Latn,
RO ron_Latn, RU rus_Cyrl, SA san_Deva, SC srd_Latn, SCN scn_Latn, SD snd_Arab, SH hrv_Latn srp_Cyrl, SHN shn_Mymr,
SI sin_Sinh, SIMPLE eng_Latn, SK slk_Latn, SL slv_Latn, SM smo_Latn, SN sna_Latn, SO som_Latn, SQ als_Latn, SR srp_Cyrl,
ST sot_Latn, SU sun_Latn, SV swe_Latn, SW swh_Latn, SZL szl_Latn, TA tam_Taml, TE tel_Telu, TG tgk_Cyrl, TH tha_Thai,
TI tir_Ethi, TK tuk_Latn, TL tgl_Latn, TN tsn_Latn, TPI tpi_Latn, TR tur_Latn, TT tat_Cyrl, UG uig_Arab, UK ukr_Cyrl,
UR urd_Arab, UZ uzn_Latn, VEC vec_Latn, VI vie_Latn, WAR war_Latn, WO wol_Latn, XH xho_Latn, YI ydd_Hebr, YO yor_Latn,
ZH zho_Hans zho_Hant, ZH_YUE yue_Hant, ZU zul_Latn, SAT sat_Beng
"""
TOKENS: dict[str, tuple[str, ...]] = {
    words[0]: tuple(words[1:]) for entry in _TABLE.replace("\n", " ").split(",") if (words := entry.split())
}

# The reference runner's choices where they differ. Its map is keyed by other codes, and what it lacks is English; it
# takes Alemannic for Tosk Albanian, and its token for Santali is none of the tokenizer's, which then is `<unk>`.
REFERENCE_TOKENS: dict[str, str] = {
    "NO": "nno_Latn", "ZH": "zho_Hant", "KU": "ckb_Arab", "KS": "kas_Deva", "BJN": "bjn_Latn", "ALS": "als_Latn",
    "SAT": "<unk>", **dict.fromkeys(("AY", "BE_X_OLD", "BH", "DIN", "QU", "SH", "ZH_YUE"), FALLBACK),
}  # fmt: skip

# A script's letters as Unicode names them; `Jpan` and `Hang` are written with Chinese characters too.
_SCRIPT_NAMES = {
    "LATIN": "Latn", "CYRILLIC": "Cyrl", "ARABIC": "Arab", "DEVANAGARI": "Deva", "BENGALI": "Beng", "ETHIOPIC": "Ethi",
    "TIBETAN": "Tibt", "GREEK": "Grek", "GUJARATI": "Gujr", "HEBREW": "Hebr", "ARMENIAN": "Armn", "HANGUL": "Hang",
    "HIRAGANA": "Jpan", "KATAKANA": "Jpan", "GEORGIAN": "Geor", "KHMER": "Khmr", "KANNADA": "Knda", "LAO": "Laoo",
    "MALAYALAM": "Mlym", "MYANMAR": "Mymr", "ORIYA": "Orya", "GURMUKHI": "Guru", "SINHALA": "Sinh", "TAMIL": "Taml",
    "TELUGU": "Telu", "THAI": "Thai", "OL": "Olck", "TIFINAGH": "Tfng", "CJK": "Hani",
}  # fmt: skip
_HAN = frozenset({"Hans", "Hant", "Jpan", "Hang"})
# NLLB calls Santali's token `Beng`, and was trained on Ol Chiki under it.
_MISNAMED = {"sat_Beng": "Olck"}


@dataclass(frozen=True)
class TokenUse:
    """How the tokenizer saw a language.

    Attributes:
      kind: `native` where the language has a token, else `fallback`.
      counts: number of labels under each token.
      off_script: number of labels whose script is not the token's.
    """

    kind: str
    counts: dict[str, int]
    off_script: int

    def __str__(self) -> str:
        parts = ", ".join(f"{token} {n}" if len(self.counts) > 1 else token for token, n in self.counts.items())
        off = f"; {self.off_script} labels in another script" if self.off_script else ""
        return f"{self.kind}: {parts}{off}"


class LanguageTokens:
    """Chooses the language token of each text, by a policy for languages that have none."""

    def __init__(self, policy: str = "fallback", *, reference: bool = False) -> None:
        """Take a policy for languages without a token.

        Args:
          policy: `fallback` marks them as English, `skip` leaves them out of the run, `strict` refuses them, and
            refuses (in `use`) a language most of whose labels are not in the token's script.
          reference: choose as the reference runner does (`REFERENCE_TOKENS`).
        """
        if policy not in POLICIES:
            raise ValueError(f"--language-token {policy!r} is unknown; allowed: {', '.join(POLICIES)}")
        self.policy, self.reference = policy, reference

    def of(self, texts: Sequence[str], language: str) -> list[str]:
        """Give the token of each text.

        Raises:
          LanguageSkipped: the language has no token and the policy is `skip`.
          ValueError: it has none, and the policy is `strict`.
        """
        tokens = [token_of(text, language, reference=self.reference) for text in texts]
        if None in tokens:
            if self.policy == "skip":
                raise LanguageSkipped(f"NLLB has no token for {language}")
            if self.policy == "strict":
                raise ValueError(f"NLLB has no token for {language}; --language-token skip or fallback accepts that")
        return [token or FALLBACK for token in tokens]

    def use(self, labels: Sequence[str], language: str) -> TokenUse:
        """Say how a language's labels are marked, for its row in the result file.

        Raises:
          LanguageSkipped, ValueError: see `of`; under `strict` also where most labels are in another script.
        """
        chosen = self.of(labels, language)
        off = sum(is_off_script(label, token) for label, token in zip(labels, chosen, strict=True))
        if self.policy == "strict" and 2 * off > len(labels):
            raise ValueError(
                f"{language}: {off} of {len(labels)} labels are not in the script of their token {chosen[0]}; "
                "--language-token fallback accepts that"
            )
        is_native = language in TOKENS
        if self.reference and language in REFERENCE_TOKENS:
            is_native = REFERENCE_TOKENS[language] != FALLBACK
        return TokenUse("native" if is_native else "fallback", dict(Counter(chosen).most_common()), off)


def token_of(text: str, language: str, *, reference: bool = False) -> str | None:
    """Give the NLLB token for a text in a language; None where NLLB has none.

    Of several tokens it is the one in whose script the text is written, else the first. It depends on nothing but the
    text and the language.
    """
    if reference and language in REFERENCE_TOKENS:
        return REFERENCE_TOKENS[language]
    tokens = TOKENS.get(language)
    if tokens is None:
        return None
    if len(tokens) == 1:
        return tokens[0]
    return next((token for token in tokens if not is_off_script(text, token)), tokens[0])


def is_off_script(text: str, token: str) -> bool:
    """Say whether most letters of a text are in another script than the token's; a text without letters is not."""
    script = script_of(text)
    wanted = _MISNAMED.get(token, token.rpartition("_")[2])
    if script is None or script == wanted:
        return False
    if script in _HAN and wanted in _HAN:
        return {script, wanted} == {"Hans", "Hant"}
    return not (script == "Hani" and wanted in _HAN)


def script_of(text: str) -> str | None:
    """Give the script of most letters as ISO 15924, `Hans` or `Hant` for Chinese characters that tell; else None.

    Chinese characters that only one of GB 2312 (simplified) and Big5 (traditional) holds tell; where none or as many
    of both do, it is `Hani`.
    """
    counts = Counter(script for char in text if char.isalpha() and (script := _script(char)))
    if not counts:
        return None
    script = counts.most_common(1)[0][0]
    if script != "Hani":
        return "Jpan" if "Jpan" in counts and script == "Hani" else script
    if counts.get("Jpan"):
        return "Jpan"
    simplified = sum(_holds(char, "gb2312") and not _holds(char, "big5") for char in text)
    traditional = sum(_holds(char, "big5") and not _holds(char, "gb2312") for char in text)
    return "Hani" if simplified == traditional else ("Hans" if simplified > traditional else "Hant")


def marks_languages(tokenizer: Any) -> bool:
    """Say whether a tokenizer puts a language token to every text."""
    return callable(getattr(tokenizer, "set_src_lang_special_tokens", None))


@cache
def _script(char: str) -> str | None:
    return _SCRIPT_NAMES.get(unicodedata.name(char, "").partition(" ")[0])


@cache
def _holds(char: str, encoding: str) -> bool:
    if not char.isalpha():
        return True
    try:
        char.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
