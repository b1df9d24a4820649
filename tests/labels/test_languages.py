import csv
import json
from collections import Counter
from importlib.resources import files

import pytest
from fontTools.unicodedata import script
from langcodes import tag_is_valid

from babel_imagenet_dataset import languages
from babel_imagenet_dataset.languages import codes, group, language, resolve

# Where langcodes has another name for the tag, or none: each is given in languages.tsv for a reason.
NAMES_OF_OUR_OWN = {
    "ALS": "the tag gsw is called Swiss German, which is one of the Alemannic dialects only",
    "BE_X_OLD": "without its variant it would be called Belarusian, as BE is",
    "BH": "Bihari languages: a family",
    "DIQ": "Dimli (individual language): a registry's wording",
    "EML": "langcodes does not know the retired tag",
    "GMQ_BOT": "a private tag",
    "KSH": "Colognian is one Ripuarian dialect",
    "KXD": "Brunei alone is the country",
    "NAH": "Nahuatl languages: a family",
    "NDS_NL": "Low German (Netherlands) is told apart by the country only",
    "NRM": "the tag nrf is called Jèrriais, which is one Norman dialect",
    "SIMPLE": "without its variant it would be called English, as EN is",
}
# Where the name is worded otherwise than by the reference: the same language is meant.
OTHER_NAMES = {
    "ANG": "Old English", "AV": "Avaric", "BCL": "Central Bikol", "BN": "Bangla", "BXR": "Russia Buriat",
    "CDO": "Min Dong Chinese", "CKB": "Central Kurdish", "CU": "Church Slavic", "FRP": "Arpitan",
    "FRR": "Northern Frisian", "FY": "Western Frisian", "GAN": "Gan Chinese", "HAK": "Hakka Chinese",
    "HT": "Haitian Creole", "IK": "Inupiaq", "ILO": "Iloko", "JAM": "Jamaican Creole English", "KAA": "Kara-Kalpak",
    "KBD": "Kabardian", "KL": "Kalaallisut", "KY": "Kyrgyz", "LEZ": "Lezghian", "LG": "Ganda", "MHR": "Eastern Mari",
    "MI": "Māori", "MIC": "Mi'kmaw", "MRJ": "Western Mari", "MZN": "Mazanderani", "NDS": "Low German", "NEW": "Newari",
    "NN": "Norwegian Nynorsk", "NO": "Norwegian", "NY": "Nyanja", "OJ": "Ojibwa", "OLO": "Livvi", "OR": "Odia",
    "ORV": "Old Russian", "OS": "Ossetic", "PAM": "Pampanga", "PAP": "Papiamento", "RMY": "Vlax Romani",
    "SAH": "Yakut", "SHI": "Tachelhit", "SI": "Sinhala", "SRN": "Sranan Tongo", "ST": "Southern Sotho",
    "TYV": "Tuvinian", "VEP": "Veps", "WAR": "Waray", "WUU": "Wu Chinese", "YUA": "Yucateco",
    "ZH_CLASSICAL": "Literary Chinese", "ZH_MIN_NAN": "Min Nan Chinese",
}  # fmt: skip


def table():
    text = (files("babel_imagenet_dataset") / "languages.tsv").read_text(encoding="utf-8")
    return {row["code"]: row for row in csv.DictReader(text.splitlines(), delimiter="\t")}


def test_there_are_298_languages_of_which_93_in_the_small_file_and_100_in_the_middle_set():
    assert len(codes()) == 298
    assert len(codes("93")) == 93
    assert len(codes("92")) == 92
    assert len(codes("100")) == 100
    assert set(codes("93")) - set(codes("92")) == {"EN"}
    assert "EN" in codes("298")
    assert set(codes("100")) - set(codes("92")) == {"WUU", "NV", "CV", "DIQ", "CHR", "CE", "HAK", "NAH"}
    assert list(codes()) == sorted(codes())


def test_counts_and_files_are_those_of_the_published_298(reference_data):
    published = json.loads((reference_data / "babel_imagenet-298.json").read_text(encoding="utf-8"))
    assert {code: language(code).n_classes for code in codes()} == {c: len(v[0]) for c, v in published.items()}


def test_the_script_of_a_language_is_that_of_most_letters_of_its_labels(reference_data):
    published = json.loads((reference_data / "babel_imagenet-298.json").read_text(encoding="utf-8"))
    for code, (_, labels) in published.items():
        counts = Counter(script(char) for label in labels for char in label if char.isalpha())
        del counts["Zyyy"], counts["Zinh"]
        assert counts.most_common(1)[0][0] in languages.letters_of(language(code).script), code


def test_chinese_scripts_are_those_of_the_characters_that_only_one_of_the_two_has(reference_data):
    """GB 2312 holds simplified characters, Big5 traditional ones: the only set that has a character tells which."""
    published = json.loads((reference_data / "babel_imagenet-298.json").read_text(encoding="utf-8"))

    def has(char, charset):
        return bool(char.encode(charset, "ignore"))

    for code, expected in {
        "ZH": "Hani",
        "ZH_YUE": "Hant",
        "WUU": "Hans",
        "GAN": "Hant",
        "ZH_CLASSICAL": "Hant",
    }.items():
        labels = published[code][1]
        simplified = sum(any(has(c, "gb2312") and not has(c, "big5") for c in label) for label in labels)
        traditional = sum(any(has(c, "big5") and not has(c, "gb2312") for c in label) for label in labels)
        share = simplified / (simplified + traditional)
        assert language(code).script == expected
        assert {"Hans": share > 0.75, "Hant": share < 0.25, "Hani": 0.25 < share < 0.75}[expected], (code, share)


def test_every_name_is_that_of_langcodes_or_of_the_table_and_agrees_with_the_reference(reference_data):
    mapping = json.loads((reference_data / "language_mapping.json").read_text(encoding="utf-8"))
    assert set(mapping) == set(codes())
    assert {code for code, row in table().items() if row["name"]} == set(NAMES_OF_OUR_OWN)
    different = {code: language(code).name for code in codes() if language(code).name != mapping[code]}
    assert different == OTHER_NAMES


def test_names_are_never_empty_never_unknown_and_never_shared():
    names = [language(code).name for code in codes()]
    assert all(name and "Unknown" not in name and "[" not in name for name in names)
    assert [name for name, n in Counter(names).items() if n > 1] == []


def test_every_tag_is_well_formed_and_names_one_language():
    tags = [language(code).tag for code in codes()]
    assert len(set(tags)) == 298
    # eml is retired but registered; gmq-x-bot is private
    assert [tag for tag in tags if not tag_is_valid(tag)] == ["eml"]


@pytest.mark.parametrize(
    ("code", "tag"),
    [("ALS", "gsw"), ("BAT_SMG", "sgs"), ("BE_X_OLD", "be-tarask"), ("FIU_VRO", "vro"), ("NDS_NL", "nds-NL"),
     ("ROA_RUP", "rup"), ("SH", "sh"), ("SIMPLE", "en-simple"), ("TL", "tl"), ("ZH_CLASSICAL", "lzh"),
     ("ZH_MIN_NAN", "nan"), ("ZH_YUE", "yue"), ("NO", "no"), ("LO", "lo")],
)  # fmt: skip
def test_codes_of_wikipedia_get_the_tag_of_their_language(code, tag):
    assert language(code).tag == tag


def test_directions_follow_the_script():
    rtl = {code for code in codes() if language(code).direction == "rtl"}
    assert rtl == {
        "ACW", "AFB", "AII", "AR", "ARC", "ARY", "ARZ", "AZB", "CKB", "DV", "FA", "HE", "KS", "MZN", "OTA", "PNB", "PS",
        "SD", "SYC", "UG", "UR", "YI",
    }  # fmt: skip
    assert language("KU").direction == "ltr"  # Kurmanji in Latin, though its templates are Sorani
    assert language("ZH").direction == "ltr"


def test_autonyms_are_in_the_language_itself_or_absent():
    assert language("DE").autonym == "Deutsch"
    assert language("AR").autonym == "العربية"
    assert language("ZH").autonym == "中文"
    assert language("AF").autonym == "Afrikaans"  # known, though it equals the English name
    assert language("BCL").autonym is None  # `language_data` would fall back to an English one
    assert language("SIMPLE").autonym is None


@pytest.mark.parametrize(
    ("n", "name"),
    [(1, "vlow"), (100, "vlow"), (101, "low"), (333, "low"), (334, "mid"), (666, "mid"), (667, "high"), (1000, "high")],
)
def test_groups_change_exactly_at_their_limits(n, name):
    assert group(n) == name


@pytest.mark.parametrize("n", [0, -1, 1001])
def test_a_number_of_classes_out_of_range_has_no_group(n):
    with pytest.raises(ValueError, match="1 to 1000"):
        group(n)


@pytest.mark.parametrize(
    ("selector", "code"),
    [
        ("de", "DE"), ("DE", "DE"), (" De ", "DE"), ("deu", "DE"), ("jp", "JA"),
        ("fil", "TL"), ("iw", "HE"), ("tgl", "TL"), ("zh-yue", "ZH_YUE"), ("zh_yue", "ZH_YUE"),
        ("yue", "ZH_YUE"), ("nan", "ZH_MIN_NAN"), ("gsw", "ALS"), ("nb", "NO"), ("swa", "SW"),
        ("swh", "SW"), ("in", "ID"), ("ji", "YI"), ("lzh", "ZH_CLASSICAL"), ("be-tarask", "BE_X_OLD"),
        ("nds-nl", "NDS_NL"), ("cmn", "ZH"), ("simple", "SIMPLE"), ("en-simple", "SIMPLE"),
    ],
)  # fmt: skip
def test_selectors_take_codes_tags_iso_codes_and_aliases_in_any_case(selector, code):
    assert resolve(selector, codes()) == [code]


def test_an_alias_never_hides_a_code():
    for code in codes():
        assert resolve(code.lower(), codes()) == [code]
    assert resolve("als", codes()) == ["ALS"]  # BabelNet's Alemannic, though ISO 639-3 has Tosk Albanian there


def test_the_order_is_that_of_the_selectors_and_alphabetical_within_a_set():
    assert resolve("sw,de,sw,fr", codes()) == ["SW", "DE", "FR"]
    assert resolve(["zu", "92"], codes()) == ["ZU", *codes("92")]
    assert resolve("yue,92", codes())[0] == "ZH_YUE"
    assert resolve("fr,92", codes()) == ["FR", *(c for c in codes("92") if c != "FR")]


def test_sets_groups_and_all_are_what_they_say():
    available = codes("93")
    assert resolve("92", available) == list(codes("92"))
    assert resolve("all", available) == list(available)
    assert resolve("298", codes()) == list(codes())
    by_group = [resolve(name, available) for name in ("vlow", "low", "mid", "high")]
    assert sorted(code for members in by_group for code in members) == list(available)
    assert "FI" in by_group[3]
    assert "LO" in by_group[1]


def test_groups_go_by_the_counts_of_the_file_where_they_are_given():
    assert resolve("vlow", {"DE": 5, "SW": 900}) == ["DE"]
    assert resolve("high", {"DE": 5, "SW": 900}) == ["SW"]


def test_a_file_of_the_users_own_may_hold_a_language_that_nobody_published():
    assert resolve("xyz,de", {"XYZ": 3, "DE": 4}) == ["XYZ", "DE"]
    with pytest.raises(ValueError, match="number of classes of 'XYZ' is not known"):
        resolve("vlow", ["XYZ"])


def test_a_language_that_the_file_lacks_is_an_error_that_names_the_file_that_has_it():
    with pytest.raises(ValueError, match=r"93 languages.*lacks: WUU, NV.*babel_imagenet-298\.json"):
        resolve("de,wuu,nv", codes("93"))
    with pytest.raises(ValueError, match=r"and 197 more.*babel_imagenet-298\.json"):
        resolve("298", codes("93"))


def test_a_language_that_no_file_has_is_an_error_that_names_none():
    with pytest.raises(ValueError, match="not known") as error:
        resolve("tlh", codes())
    assert "babel_imagenet-298.json has" not in str(error.value)


@pytest.mark.parametrize(("typo", "meant"), [("germam", "DE"), ("swahilli", "SW"), ("ZH_YU", "ZH_YUE")])
def test_an_unknown_code_is_an_error_that_proposes_the_nearest(typo, meant):
    with pytest.raises(ValueError, match=f"'{typo}' is not known; did you mean.*'{meant}'"):
        resolve(typo, codes())


def test_a_set_that_is_none_is_an_error_that_lists_the_sets():
    with pytest.raises(ValueError, match="92, 93, 100, 298"):
        resolve("98", codes())


@pytest.mark.parametrize("nothing", ["", " , ", []])
def test_no_selector_at_all_is_an_error(nothing):
    with pytest.raises(ValueError, match="no language is selected"):
        resolve(nothing, codes())


def test_a_group_without_a_language_in_the_file_is_an_error():
    with pytest.raises(ValueError, match="no language of the file at hand is in the group 'high'"):
        resolve("high", {"DE": 5})


def test_languages_beyond_the_published_ones_come_from_langcodes():
    known = language("ace")
    assert (known.code, known.name, known.script, known.n_classes, known.releases) == (
        "ACE",
        "Acehnese",
        "Latn",
        None,
        (),
    )
    with pytest.raises(ValueError, match="'nonsense' is not known"):
        language("nonsense")
