from __future__ import annotations

import gzip
import importlib.util
import lzma
import subprocess
import sys
from pathlib import Path

import pytest

from babel_imagenet_dataset.release import load_labels
from babel_imagenet_dataset.wordnet_files import read_wordnet
from babel_imagenet_dataset.wordnets import compare, from_wordnets, princeton_senses

LMF = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE LexicalResource SYSTEM "http://globalwordnet.github.io/schemas/WN-LMF-{version}.dtd">
<LexicalResource xmlns:dc="https://globalwordnet.github.io/schemas/dc/">
{lexicons}
</LexicalResource>
"""
# Lion and tiger; the tiger's synset states its words in another order than the file, its second sense is no word.
ITALIAN = """
<Lexicon id="{id}" label="x" language="it" email="a@b" license="https://example.org/free" version="1">
  <LexicalEntry id="e1"><Lemma writtenForm="leone" partOfSpeech="n"/>
    <Sense id="s1" synset="{id}-02129165-n"/></LexicalEntry>
  <LexicalEntry id="e2"><Lemma writtenForm="grande gatto a strisce" partOfSpeech="n"/>
    <Sense id="s2" synset="{id}-02129604-n"/></LexicalEntry>
  <LexicalEntry id="e3"><Lemma writtenForm="tigre" partOfSpeech="n"/>
    <Sense id="s3" synset="{id}-02129604-n"/></LexicalEntry>
  <LexicalEntry id="e4"><Lemma writtenForm="Tiger" partOfSpeech="n"/>
    <Sense id="s4" synset="{id}-02129604-n" lexicalized="false"/></LexicalEntry>
  <LexicalEntry id="e5"><Lemma writtenForm="correre" partOfSpeech="v"/>
    <Sense id="s5" synset="{id}-02129165-v"/></LexicalEntry>
  <Synset id="{id}-02129165-n" ili="i46592" partOfSpeech="n"><Definition>il re degli animali</Definition></Synset>
  <Synset id="{id}-02129604-n" ili="i46594" partOfSpeech="n"{members}/>
  <Synset id="{id}-02129165-v" ili="i1" partOfSpeech="v"/>
</Lexicon>
"""


def lmf(tmp_path: Path, lexicon_id: str = "omw-it", members: str = "", version: str = "1.0", name: str = "it") -> Path:
    path = tmp_path / f"{name}.xml"
    lexicon = ITALIAN.format(id=lexicon_id, members=members)
    path.write_text(LMF.format(version=version, lexicons=lexicon), encoding="utf-8")
    return path


def words(path: Path, **settings: object) -> dict[int, list[str]]:
    (wordnet,) = read_wordnet(path, **settings)  # type: ignore[arg-type]
    return {index: [sense.lemma for sense in senses] for index, senses in wordnet.senses.items()}


def test_a_lexicon_of_omw_is_read_by_the_offsets_in_its_ids(tmp_path: Path) -> None:
    (wordnet,) = read_wordnet(lmf(tmp_path))
    assert (wordnet.name, wordnet.language, wordnet.n_synsets) == ("omw-it:1", "IT", 2)
    assert wordnet.license == "https://example.org/free"
    assert {i: [s.lemma for s in found] for i, found in wordnet.senses.items()} == {
        291: ["leone"],
        292: ["grande_gatto_a_strisce", "tigre"],
    }
    assert wordnet.senses[291][0].synset == "wn:02129165n"
    assert wordnet.glosses == {291: "il re degli animali"}


@pytest.mark.parametrize("members", [' members="s3 s2"', ' members="e3 e2"', ' members="s3"'])
def test_the_order_that_a_synset_states_goes_before_the_file_s(tmp_path: Path, members: str) -> None:
    assert words(lmf(tmp_path, members=members, version="1.1"))[292] == ["tigre", "grande_gatto_a_strisce"]


def test_another_lexicon_is_not_trusted_for_numbers_that_look_like_offsets(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no synset of the lexicon 'oewn' could be aligned .* omw-en"):
        read_wordnet(lmf(tmp_path, "oewn"))


def test_another_lexicon_is_aligned_through_the_interlingual_index(tmp_path: Path) -> None:
    shifted = lmf(tmp_path, "iwn").read_text(encoding="utf-8").replace("iwn-0212", "iwn-9999")
    (tmp_path / "iwn.xml").write_text(shifted, encoding="utf-8")
    omw = lmf(tmp_path, "omw-en", name="en")
    assert words(tmp_path / "iwn.xml", through=[omw])[291] == ["leone"]


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".xz", lzma.compress)])
def test_packed_files_are_read_as_they_are(tmp_path: Path, suffix: str, pack: object) -> None:
    plain = lmf(tmp_path)
    packed = tmp_path / f"it.xml{suffix}"
    packed.write_bytes(pack(plain.read_bytes()))  # type: ignore[operator]
    assert words(packed) == words(plain)
    packed.write_bytes(packed.read_bytes()[:30])
    with pytest.raises(ValueError, match="is damaged or not packed"):
        read_wordnet(packed)


def test_omw_s_tables_are_read_with_gaps_left_out_and_definitions_kept(tmp_path: Path) -> None:
    path = tmp_path / "wn-data-ita.tab"
    path.write_text(
        "# ItalWordNet\tita\thttp://example.org\tODC-BY\n"
        "02129165-n\tita:lemma\tleone\n"
        "02129165-n\tita:def\t0\til re degli animali\n"
        "02129604-n\tlemma\tgrande gatto\n"
        "02129604-n\tlemma\ttigre\n"
        "02128925-n\tlemma\tGAP!\n"
        "02128925-n\tita:exe\t0\tesempio\n"
        "00001740-v\tlemma\trespirare\n"
    )
    (wordnet,) = read_wordnet(path)
    assert (wordnet.language, wordnet.license) == ("IT", "ODC-BY")
    assert words(path) == {291: ["leone"], 292: ["grande_gatto", "tigre"]}
    assert wordnet.glosses == {291: "il re degli animali"}


def test_a_user_s_own_table_may_hold_several_languages(tmp_path: Path) -> None:
    path = tmp_path / "own.tsv"
    path.write_text(
        'language\twnid\tlemma\tgloss\nlo\tn02129165\tສິງໂຕ\tສັດ\njp\tn02129165\tライオン\t\nLO\tn02129604\t"ເສືອ\t\n',
        encoding="utf-8",
    )
    found = {wordnet.language: wordnet for wordnet in read_wordnet(path)}
    assert sorted(found) == ["JA", "LO"]
    assert found["LO"].senses[292][0].lemma == '"ເສືອ'  # a quotation mark is a letter like any other
    assert found["LO"].glosses == {291: "ສັດ"}


def test_offsets_may_be_written_in_three_ways(tmp_path: Path) -> None:
    path = tmp_path / "own.tsv"
    path.write_text("offset\tlemma\n02129165\ta\n02129165-n\tb\nn02129165\tc\n")
    assert words(path, language="IT") == {291: ["a", "b", "c"]}


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.tsv", "wnid\tlemma\nn0212916\tx\n", "line 2: wnid 'n0212916' and lemma 'x' are no synset, word"),
        ("a.tsv", "wnid\tlemma\nn02129165\t\n", "line 2: .* lemma ''"),
        ("a.tsv", "wnid\tlemma\nn02129165\n", "line 2: .* lemma None"),
        ("a.tsv", "word\tsynset\n", "a table has a header with `wnid` or `offset`"),
        ("a.tsv", "", "a table has a header"),
        ("a.tab", "# x\tita\nleone\n", "line 2: expected `02129165-n`|line 2: expected `02119789-n`"),
        ("a.tsv", "wnid\tlemma\nn02129165\tx\n", "line 2: no language is stated; give it as CODE="),
        ("a.txt", "", "a wordnet is a WN-LMF file"),
        ("a.xml", "<xml/>", "not a WN-LMF file"),
        ("a.xml", LMF.format(version="1.0", lexicons="<Lexicon>"), "not a WN-LMF file"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_line(tmp_path: Path, name: str, text: str, told: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=told):
        read_wordnet(tmp_path / name)


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no wordnet .*none\.xml"):
        read_wordnet(tmp_path / "none.xml")


def test_words_that_are_english_in_wordnet_are_no_labels(tmp_path: Path) -> None:
    """`leone` stays; `lion` and `Panthera tigris` are words of Princeton's synsets."""
    path = tmp_path / "own.tsv"
    path.write_text(
        "wnid\tlemma\nn02129165\tLion\nn02129165\tleone\nn02129604\tPanthera tigris\nn02128925\tonza\n", "utf-8"
    )
    selection = from_wordnets(read_wordnet(path, "IT"))
    assert {c.class_index: c.label for c in selection.labels["IT"]} == {291: "leone", 290: "onza"}
    assert selection.without_label["IT"][292][0].why_not == "english"
    assert "panthera_tigris" in {sense.lemma.lower() for sense in princeton_senses()}


def test_wordnets_of_one_language_are_read_one_after_the_other(tmp_path: Path) -> None:
    first, second = tmp_path / "a.tsv", tmp_path / "b.tsv"
    first.write_text("wnid\tlemma\tgloss\nn02129165\tleone\til re\n")
    second.write_text("wnid\tlemma\tgloss\nn02129165\tleoncino\tpiccolo\nn02129604\ttigre\tgatto\n")
    selection = from_wordnets([*read_wordnet(first, "IT"), *read_wordnet(second, "IT")], ["IT", "LO"])
    assert [(c.label, c.source) for c in selection.labels["IT"]] == [("leone", "a.tsv"), ("tigre", "b.tsv")]
    assert selection.glosses["IT"] == {291: "il re", 292: "gatto"}
    assert selection.meta["languages_without_labels"] == ["LO"]
    assert [w["name"] for w in selection.meta["wordnets"]] == ["a.tsv", "b.tsv"]


def test_agreement_is_counted_on_the_classes_that_both_have(tmp_path: Path) -> None:
    own = tmp_path / "own.tsv"
    own.write_text(
        "wnid\tlemma\nn02129165\tLeone\nn02129604\tgatto\nn02129604\ttigre\nn02128925\tonza\nn02130308\tghepardo\n"
        "n01440764\ttinca d'oro\n"
    )
    released = tmp_path / "labels.json"
    released.write_text('{"IT": [[0, 290, 291, 292], ["TincaDòro", "giaguaro", "leone", "tigre"]]}')
    (agreement,) = compare(from_wordnets(read_wordnet(own, "IT")), load_labels(released).languages)
    assert (agreement.n_both, agreement.n_equal, agreement.n_listed, agreement.n_same_letters) == (4, 1, 2, 3)
    assert (agreement.n_only_source, agreement.n_only_release) == (1, 0)
    assert agreement.differing == ((0, "TincaDòro", "tinca d'oro"), (290, "giaguaro", "onza"))


DUMP_ROMANIAN = """
import pickle, sys
from importlib.util import find_spec
from pathlib import Path
path = Path(find_spec("rowordnet").origin).parent / "rowordnet.pickle"
synsets = pickle.loads(path.read_bytes())._synsets
print("offset", "lemma", sep="\\t")
for name, synset in synsets.items():
    if name.startswith("ENG30-") and name.endswith("-n"):
        for literal in synset.literals:
            print(name[6:14], literal, sep="\\t")
"""


@pytest.mark.skipif(importlib.util.find_spec("rowordnet") is None, reason="rowordnet is not installed")
def test_a_real_wordnet_agrees_with_the_released_romanian_labels(tmp_path: Path) -> None:
    """RoWordNet ships as a pickle: it is opened in a process of its own, which writes a table."""
    path = tmp_path / "rowordnet.tsv"
    dumped = subprocess.run([sys.executable, "-c", DUMP_ROMANIAN], capture_output=True, check=True, timeout=60)
    path.write_bytes(dumped.stdout)
    selection = from_wordnets(read_wordnet(path, "RO"))
    (agreement,) = compare(selection, load_labels().languages)
    assert agreement.n_both > 500
    # BabelNet holds this wordnet among its sources, without the spaces: `balenăucigașă` is `balenă ucigașă`.
    assert agreement.n_listed / agreement.n_both > 0.6
    assert agreement.n_same_letters / agreement.n_both > 0.85
    # A wrong alignment would leave next to none.
    shifted = {index + 1: label for index, label in _by_index(selection).items() if index + 1 < 1000}
    released = load_labels().languages["RO"]
    chance = sum(shifted.get(int(i)) == label for i, label in zip(released.class_index, released.labels, strict=True))
    assert chance < 0.02 * agreement.n_both


def _by_index(selection: object) -> dict[int, str]:
    return {chosen.class_index: chosen.label for chosen in selection.labels["RO"]}  # type: ignore[attr-defined]
