import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instances.novita import types
from instances.novita.coerce import Malformed, to_bool, to_decimal, to_int, to_list, to_text, to_time, to_usd
from tests.instances.novita.factory import detailed

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.from_regex(r"-?[0-9]{1,25}(\.[0-9]{1,5})?(e[0-9]{1,4})?", fullmatch=True)
    | st.sampled_from(["NaN", "-Infinity", "1e999999", "\x00", "\ud800", "1768435200", "-1", "0"])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)

OTHER_MEMBERS = [
    *("Id", "data", "total", "instances", "template", "recommendCards", "monthlyPrice", "price", "spotPrice"),
    *("regions", "billingMethods", "availableBalance", "cpuUtilization", "gpuUtilization", "state", "avg"),
    *("gpuIds", "items", "timestamp", "value", "key", "storageId", "storageSize"),
]
MEMBERS = sorted({*detailed(), *OTHER_MEMBERS})
OBJECTS = st.dictionaries(
    st.sampled_from(MEMBERS),
    JSON | st.lists(st.dictionaries(st.sampled_from(MEMBERS), JSON, max_size=4), max_size=2),
    max_size=12,
)
READERS = [
    types.Balance,
    types.Cluster,
    types.CpuProduct,
    types.InstanceDetail,
    types.InstanceMetrics,
    types.NetworkStorage,
    types.Product,
    types.RegistryAuth,
    types.RemoteInstance,
    types.RemoteJob,
    types.Template,
]


@given(JSON)
def test_no_json_value_makes_a_scalar_fail(value: Any) -> None:
    text = to_text(value)
    text.encode()
    assert "\x00" not in text
    assert isinstance(to_bool(value), bool)
    assert isinstance(to_list(value), list)
    assert isinstance(to_int(value), int)
    number, at, usd = to_decimal(value), to_time(value), to_usd(value, Decimal(100_000))
    assert number is None or number.is_finite()
    assert usd is None or usd.is_finite()
    assert at is None or at.tzinfo is UTC


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
@settings(max_examples=40)
@given(raw=OBJECTS | JSON)
def test_no_json_value_makes_a_type_fail_but_with_malformed(reader: Any, raw: Any) -> None:
    try:
        value = reader.from_api(raw)
    except Malformed:
        return
    repr(value)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("67000", 67000),
        (67000, 67000),
        (67000.0, 67000),
        (" 12 ", 12),
        ("1.9", 1),
        (-3, -3),
        ("", 0),
        (None, 0),
        (True, 0),
        ("x", 0),
        ([], 0),
        ("9" * 30, 0),
        (float("inf"), 0),
    ],
)
def test_whole_numbers_are_read_however_written(value: Any, number: int) -> None:
    assert to_int(value) == number


@pytest.mark.parametrize(
    ("value", "at"),
    [
        ("1768435200", datetime(2026, 1, 15, tzinfo=UTC)),
        (1768435200, datetime(2026, 1, 15, tzinfo=UTC)),
        (1768435200000, datetime(2026, 1, 15, tzinfo=UTC)),
        ("0", None),
        ("-1", None),
        ("", None),
        (None, None),
        ("soon", None),
        ("99999999999999999", None),
    ],
)
def test_never_is_none_and_seconds_are_aware_times(value: Any, at: datetime | None) -> None:
    assert to_time(value) == at


def test_money_is_exact() -> None:
    assert to_usd("67001", Decimal(100_000)) == Decimal("0.67001")
    assert to_usd(0.1, Decimal(1)) == Decimal("0.1")


def test_a_lone_surrogate_from_json_can_be_stored() -> None:
    assert to_text(json.loads('"a\\ud800\\u0000b"')) == "a?\ufffdb"
