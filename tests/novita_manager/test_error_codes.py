"""The list of error codes holds what the source raises, no less and no more."""

import ast
from collections.abc import Iterator
from pathlib import Path

from instances.novita import errors as novita_errors
from novita_manager.openapi.codes import CODES, FIELD_CODES, PROVIDER_CODES, as_markdown

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("instances/api", "instances/operations", "instances/webhooks", "autostop", "sync", "novita_manager")
# What Django REST framework raises by itself.
OF_THE_FRAMEWORK = {
    "not_authenticated",
    "authentication_failed",
    "permission_denied",
    "not_found",
    "method_not_allowed",
    "unsupported_media_type",
    "throttled",
}
# Made from values: `errors` renames two of the framework's codes, `placement` names why nothing fits.
MADE = {"malformed_json", "server_error", "validation_error", "no_offer", "no_capacity"}
FIELDS_OF_THE_FRAMEWORK = {
    "required",
    "null",
    "empty",
    "not_a_list",
    "invalid",
    "min_length",
    "max_digits",
    "max_decimal_places",
    "max_whole_digits",
    "max_string_length",
    "null_characters_not_allowed",
    "surrogate_characters_not_allowed",
    "invalid_choice",
    "blank",
    "max_length",
    "max_value",
    "min_value",
}
FIELDS_MADE = {"unknown_product", "unknown_region", "no_offer", "name_taken", "too_long"}


def trees() -> Iterator[ast.Module]:
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            if "migrations" not in path.parts and "simulator" not in path.parts:
                yield ast.parse(path.read_text(encoding="utf-8"))


def calls(*names: str) -> Iterator[ast.Call]:
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in names:
                yield node


def literal(node: ast.expr | None) -> set[str]:
    return {node.value} if isinstance(node, ast.Constant) and isinstance(node.value, str) else set()


def named(call: ast.Call, name: str) -> ast.expr | None:
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def raised() -> set[str]:
    found: set[str] = set()
    for call in calls("Problem"):
        found |= literal(named(call, "code"))
    for call in calls("problem_http_response", "problem", "_handler"):
        found |= literal(call.args[1] if len(call.args) > 1 else None)
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and any(getattr(base, "id", "") == "OperationRefused" for base in node.bases):
                found |= {word for line in node.body if isinstance(line, ast.Assign) for word in literal(line.value)}
    return found


def raised_for_fields() -> set[str]:
    found: set[str] = set()
    for call in calls("refused_field", "ErrorDetail", "ValidationError"):
        found |= literal(call.args[1] if len(call.args) > 1 else None)
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "default_error_messages":
                assert isinstance(node.value, ast.Dict)
                found |= {word for key in node.value.keys for word in literal(key)}
    return found


def test_every_code_that_is_raised_is_listed_and_every_listed_one_is_raised() -> None:
    assert raised() | OF_THE_FRAMEWORK | MADE == set(CODES)


def test_every_code_of_a_field_is_listed() -> None:
    listed = set(FIELD_CODES)

    assert raised_for_fields() - listed == set()
    assert listed - raised_for_fields() - FIELDS_OF_THE_FRAMEWORK - FIELDS_MADE == set()


def test_every_code_of_the_provider_is_listed() -> None:
    kinds = [one for one in vars(novita_errors).values() if isinstance(one, type)]

    assert {one.code for one in kinds if issubclass(one, novita_errors.NovitaError)} == set(PROVIDER_CODES)


def test_the_document_is_the_one_that_is_committed() -> None:
    assert (ROOT / "docs" / "errors.md").read_text(encoding="utf-8") == as_markdown()
