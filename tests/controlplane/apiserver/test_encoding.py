"""Objects as bytes, and the forms that are made of them."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from panal.controlplane.apiserver import encoding, forms
from panal.controlplane.apiserver.cache import Item
from panal.controlplane.apiserver.negotiation import JSON, Form
from panal.controlplane.apiserver.reading import Listed
from panal.resources import CONFIGMAPS

NOW = "2026-01-31T12:00:00Z"
TABLE = Form(JSON, "Table", "v1")


def settings(name: str, **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", "creationTimestamp": NOW}
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata, "data": data}


def item(name: str, revision: int) -> Item:
    return Item("shop", name, revision, encoding.with_revision(encoding.encode(settings(name, x="1")), revision))


@given(st.dictionaries(st.text(), st.text()), st.integers(1, 2**62))
def test_a_revision_is_spliced_into_any_object_and_taken_out_again(data: dict[str, str], revision: int) -> None:
    obj = {"data": data, **settings('"metadata":{')}
    obj["data"] = data
    body = encoding.with_revision(encoding.encode(obj), revision)
    read = orjson.loads(body)
    assert read["metadata"].pop("resourceVersion") == str(revision)
    assert read == obj
    assert encoding.encode(orjson.loads(body)) == encoding.encode(obj)


def test_a_list_is_made_of_encoded_items() -> None:
    bodies = [item("a", 1).body, item("b", 2).body]
    made = orjson.loads(encoding.a_list("ConfigMapList", "v1", 9, bodies, "token", 3))
    assert made["metadata"] == {"resourceVersion": "9", "continue": "token", "remainingItemCount": 3}
    assert [each["metadata"]["name"] for each in made["items"]] == ["a", "b"]
    assert orjson.loads(encoding.a_list("ConfigMapList", "v1", 9, []))["items"] == []


def test_a_list_as_a_table_and_as_metadata() -> None:
    listed = Listed([item("a", 1), item("b", 2)], 9, "token", 3)
    table = orjson.loads(forms.many(CONFIGMAPS, listed, TABLE, NOW, ""))
    assert [row["cells"][:2] for row in table["rows"]] == [["a", 1], ["b", 1]]
    assert table["metadata"] == {"resourceVersion": "9", "continue": "token", "remainingItemCount": 3}
    partial = orjson.loads(forms.many(CONFIGMAPS, listed, Form(JSON, "PartialObjectMetadataList", "v1"), NOW, ""))
    assert partial["kind"] == "PartialObjectMetadataList"
    assert [set(each) for each in partial["items"]] == [{"kind", "apiVersion", "metadata"}] * 2


def test_a_single_object_as_a_table_says_its_revision() -> None:
    table = orjson.loads(forms.one(CONFIGMAPS, item("a", 7).body, TABLE, NOW, "Object"))
    assert table["metadata"] == {"resourceVersion": "7"}
    assert table["rows"][0]["object"]["data"] == {"x": "1"}


def test_a_watched_table_sends_its_columns_once() -> None:
    events = forms.Events(CONFIGMAPS, TABLE, lambda: NOW, "None")
    first, second = (orjson.loads(events.render("ADDED", item(name, 1))) for name in ("a", "b"))
    assert (first["type"], first["object"]["kind"]) == ("ADDED", "Table")
    assert first["object"]["columnDefinitions"]
    assert second["object"]["columnDefinitions"] is None
    assert "object" not in second["object"]["rows"][0]


def test_order_and_revision_are_no_difference() -> None:
    one, other = settings("a", x="1", y="2"), settings("a", y="2", x="1")
    other["metadata"]["resourceVersion"] = "7"
    assert encoding.same(one, other)
    assert not encoding.same(one, settings("a", x="1"))
