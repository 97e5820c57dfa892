"""What holds of the canonical form for every JSON value and every string of bytes."""

from __future__ import annotations

import json
import unicodedata

import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.model.canonical import MAX_SAFE_INTEGER, canonical_bytes, normalise, parse_json, pretty_bytes
from regen_vcs.model.paths import check_asset_path, fold, relative_input, resolve_input

safe_floats = st.floats(min_value=-MAX_SAFE_INTEGER, max_value=MAX_SAFE_INTEGER)
tiny_floats = st.floats(min_value=-1e-3, max_value=1e-3)
texts = st.text(max_size=12) | st.text(alphabet='\x00\x1f"\\/\u007f\u2028\ufb33\U0001f600e-07', max_size=12)
safe_scalars = st.none() | st.booleans() | st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER) | safe_floats | tiny_floats | texts


def nested(scalars):
    return st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=15)


safe_values = nested(safe_scalars)
values = nested(safe_scalars | st.integers())
any_values = nested(safe_scalars | st.integers() | st.floats() | st.text(alphabet=st.characters(categories=["Cs", "Lu"])))


@given(safe_values)
def test_equals_the_reference(value):
    assert canonical_bytes(value) == rfc8785.dumps(value)


@given(values)
def test_canonical_form_is_a_fixed_point(value):
    data = canonical_bytes(value)
    assert canonical_bytes(parse_json(data)) == data
    assert rfc8785.dumps(parse_json(data)) == data


@given(values)
def test_pretty_says_the_same(value):
    pretty = pretty_bytes(value)
    assert parse_json(pretty) == parse_json(canonical_bytes(value)) == normalise(value)
    assert canonical_bytes(parse_json(pretty)) == canonical_bytes(value)
    assert pretty_bytes(parse_json(pretty)) == pretty
    assert pretty.endswith(b"\n") and not pretty.endswith(b"\n\n")


@given(values)
def test_any_json_text_of_a_value_has_its_canonical_form(value):
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent="\t")):
        assert canonical_bytes(parse_json(text.encode())) == canonical_bytes(value)


@given(values)
def test_normal_is_a_fixed_point(value):
    normal = normalise(value)
    assert repr(normalise(normal)) == repr(normal)


@given(any_values)
def test_refused_or_canonical(value):
    try:
        data = canonical_bytes(value)
    except InvalidError:
        return
    assert canonical_bytes(parse_json(data)) == data


@given(st.binary(max_size=200) | st.text(alphabet='[]{}",:\\ue-+.0123456789truefalsnNIity \n\ud83d', max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_parse_or_are_invalid(data):
    try:
        value = parse_json(data)
    except RegenError as error:
        assert isinstance(error, InvalidError)
        assert "\n" not in error.what
        return
    assert canonical_bytes(parse_json(canonical_bytes(value))) == canonical_bytes(value)


@given(st.text(max_size=20))
def test_fold(path):
    assert fold(fold(path)) == fold(path)
    for form in ("NFC", "NFD"):
        assert fold(unicodedata.normalize(form, path)) == fold(path)


names = st.text(alphabet=st.sampled_from("ab.@ ~#\n:é"), min_size=1, max_size=6)
paths = st.lists(names, min_size=1, max_size=5).map("/".join)


@given(paths, paths)
def test_inputs_there_and_back(sidecar, target):
    try:
        check_asset_path(sidecar)
        check_asset_path(target)
    except InvalidError:
        return
    if not target.startswith("@"):
        assert resolve_input(sidecar, relative_input(sidecar, target)) == target


@given(paths, st.text(max_size=10) | paths | paths.map("../".__add__))
def test_an_input_stays_inside_or_is_refused(sidecar, value):
    try:
        check_asset_path(sidecar)
        path = resolve_input(sidecar, value)
    except InvalidError:
        return
    assert not {"", ".", ".."} & set(path.split("/"))
    assert resolve_input(sidecar, relative_input(sidecar, path)) == path
