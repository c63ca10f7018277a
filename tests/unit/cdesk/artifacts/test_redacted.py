"""Answers without what others must not see: every text column, unless it is declared safe."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from cdesk.artifacts.redacted import redact_batches

TOKEN = "gh" + "p_" + "a1B2" * 9
WRITTEN = f"ada@example.com {TOKEN}"


def redacted(column: pa.Array, name: str = "text", **options: Any) -> list[Any]:
    batch = pa.RecordBatch.from_arrays([column], [name])
    options = {"personal": True} | options
    [found] = redact_batches([batch], **options)
    assert found.schema == batch.schema
    return found.column(0).to_pylist()


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int32(), pa.string()),
        pa.json_(),
    ],
    ids=str,
)
def test_texts_of_every_type_are_redacted(kind: pa.DataType) -> None:
    values = [WRITTEN, None, "words", WRITTEN]
    if isinstance(kind, pa.BaseExtensionType):
        column = pa.ExtensionArray.from_storage(kind, pa.array(values, kind.storage_type))
    else:
        column = pa.array(values, pa.string()).cast(kind)
    stands = "[email] [secret:github_token]"
    assert redacted(column) == [stands, None, "words", stands]


def test_lists_structs_and_maps_are_redacted_inside() -> None:
    assert redacted(pa.array([[WRITTEN, None]])) == [["[email] [secret:github_token]", None]]
    struct = pa.array([{"note": "call +49 170 1234567", "password": "x", "n": 1}])
    assert redacted(struct) == [{"note": "call [phone]", "password": "[secret:password]", "n": 1}]
    mapped = pa.array([[("a", WRITTEN)]], pa.map_(pa.string(), pa.string()))
    assert redacted(mapped) == [[("a", "[email] [secret:github_token]")]]


def test_a_customers_own_answer_shows_what_they_wrote_without_credentials() -> None:
    column = pa.array([WRITTEN])
    assert redacted(column, personal=False) == ["ada@example.com [secret:github_token]"]


def test_a_column_that_is_declared_safe_stays() -> None:
    column = pa.array(["ada@example.com"])
    assert redacted(column, "customer", safe=("customer",)) == ["ada@example.com"]
    assert redacted(column, "customer") == ["[email]"]


def test_a_column_called_like_personal_data_is_replaced_whole() -> None:
    assert redacted(pa.array(["Lovelace"]), "last_name") == ["[name]"]
    assert redacted(pa.array(["Lovelace"]), "last_name", personal=False) == ["Lovelace"]


def test_numbers_stay_as_the_engine_computed_them() -> None:
    assert redacted(pa.array([4111111111111111])) == [4111111111111111]


def test_documents_in_a_text_are_read() -> None:
    assert redacted(pa.array(['{"e-mail":"a b","n":1}'])) == ['{"e-mail":"[email]","n":1}']


def test_a_list_of_fixed_length_and_lists_in_lists_are_redacted_inside() -> None:
    stands = "[email] [secret:github_token]"
    assert redacted(pa.array([[WRITTEN, "x"]], pa.list_(pa.string(), 2))) == [[stands, "x"]]
    assert redacted(pa.array([[[WRITTEN], None], None])) == [[[stands], None], None]
    deep = pa.array([{"a": [{"b": WRITTEN}], "c": None}])
    assert redacted(deep) == [{"a": [{"b": stands}], "c": None}]
    mapped = pa.array([[("a", [WRITTEN])]], pa.map_(pa.string(), pa.list_(pa.string())))
    assert redacted(mapped) == [[("a", [stands])]]


def test_inside_a_list_or_struct_a_customers_own_answer_shows_what_they_wrote() -> None:
    shows = "ada@example.com [secret:github_token]"
    struct = pa.array([{"list": [WRITTEN], "last_name": "Lovelace", "password": "x"}])
    assert redacted(struct, personal=False) == [
        {"list": [shows], "last_name": "Lovelace", "password": "[secret:password]"}
    ]
    assert redacted(struct) == [
        {
            "list": ["[email] [secret:github_token]"],
            "last_name": "[name]",
            "password": "[secret:password]",
        }
    ]
    mapped = pa.array([[("a", WRITTEN)]], pa.map_(pa.string(), pa.string()))
    assert redacted(mapped, personal=False) == [[("a", shows)]]


def test_a_column_called_like_a_credential_is_replaced_whole_whoever_reads_it() -> None:
    column = pa.array(["hunter2", "", None, "[secret:token]", "x" * 300])
    for personal in (True, False):
        assert redacted(column, "password", personal=personal) == [
            "[secret:password]",
            "",
            None,
            "[secret:token]",
            "[secret:password]",
        ], "what says already what stood there says so on"


@pytest.mark.parametrize("length", [256, 257])
def test_a_text_of_any_length_is_read(length: int) -> None:
    text = WRITTEN.rjust(length, ".").replace(".ada", " ada")
    assert len(text) == length
    [found] = redacted(pa.array([text]))
    assert found.endswith(" [email] [secret:github_token]")
    assert redacted(pa.array([text]), personal=False)[0].endswith("com [secret:github_token]")


def test_each_column_goes_by_its_own_name_and_each_batch_comes_back() -> None:
    columns = [pa.array(["x"]), pa.array([WRITTEN]), pa.array([WRITTEN])]
    batch = pa.RecordBatch.from_arrays(columns, ["password", "text", "safe"])
    found = list(redact_batches(iter([batch, batch]), personal=True, safe={"safe"}))
    rows = [
        {"password": "[secret:password]", "text": "[email] [secret:github_token]", "safe": WRITTEN}
    ]
    assert [one.to_pylist() for one in found] == [rows, rows]
    assert found[0].schema == batch.schema
