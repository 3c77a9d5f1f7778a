"""The FIX dictionaries: the same as QuickFIX's own, and files that QuickFIX takes."""

import os
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import pytest

from tradewind.venue.fix_dictionaries import BEGIN_STRINGS, dictionary, dictionary_xml

_DATA: Final = Path(
    os.environ.get("TRADEWIND_TEST_DATA", Path(__file__).resolve().parents[3].parent / "shared" / "data")
)
_A_PLACEHOLDER: Final = "SettlLocation"
"""QuickFIX lists "ISO Country Code" among its values, which no message can have; here it has no list."""


def structure(node: ElementTree.Element) -> list[object]:
    return [(part.tag, part.get("name"), part.get("required"), structure(part)) for part in node]


def fields(root: ElementTree.Element) -> dict[str, tuple[str | None, str | None, list[str | None]]]:
    every = root.find("fields")
    assert every is not None
    return {
        str(field.get("name")): (field.get("number"), field.get("type"), [value.get("enum") for value in field])
        for field in every
        if field.get("name") != _A_PLACEHOLDER
    }


@pytest.mark.parametrize("begin_string", BEGIN_STRINGS)
def test_it_is_what_quickfix_has(begin_string: str) -> None:
    path = _DATA / "fix" / f"{begin_string.replace('.', '')}.xml"
    if not path.is_file():
        pytest.skip(f"no FIX dictionaries in {_DATA}: set TRADEWIND_TEST_DATA")
    ours, theirs = ElementTree.fromstring(dictionary_xml(begin_string)), ElementTree.parse(path).getroot()
    assert ours.attrib == theirs.attrib
    for part in ("header", "trailer", "messages", "components"):
        mine, other = ours.find(part), theirs.find(part)
        assert mine is not None
        assert other is not None
        assert structure(mine) == structure(other)
        kinds = [[(each.get("msgtype"), each.get("msgcat")) for each in whole] for whole in (mine, other)]
        assert kinds[0] == kinds[1]
    assert fields(ours) == fields(theirs)


def test_a_version_without_a_dictionary_is_refused_with_those_that_have_one() -> None:
    with pytest.raises(ValueError, match=r"one of FIX\.4\.2, FIX\.4\.4, not 'FIX\.5\.0'"):
        dictionary("FIX.5.0")


def test_the_file_is_written_once_and_stays() -> None:
    path = dictionary("FIX.4.4")
    assert path.read_bytes() == dictionary_xml("FIX.4.4")
    assert dictionary("FIX.4.4") == path
