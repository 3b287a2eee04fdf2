"""Writes docs/openapi.yaml; with --check says whether it is what the code describes."""

import difflib
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

PATH = Path(__file__).resolve().parent.parent / "docs" / "openapi.yaml"
_MOST_LINES = 60


def described() -> str:
    """The description as YAML. Settings of this machine do not show in it."""
    with tempfile.TemporaryDirectory(prefix="novita-openapi-") as folder:
        os.environ |= {"ENVIRONMENT": "test", "DATA_DIR": folder, "DJANGO_SETTINGS_MODULE": "novita_manager.settings"}
        os.environ["PUBLIC_URL"] = ""
        import django  # noqa: PLC0415 - the environment is set first

        django.setup()
        from drf_spectacular.drainage import GENERATOR_STATS  # noqa: PLC0415
        from drf_spectacular.generators import SchemaGenerator  # noqa: PLC0415
        from drf_spectacular.renderers import OpenApiYamlRenderer  # noqa: PLC0415
        from drf_spectacular.validation import validate_schema  # noqa: PLC0415

        generator: Any = SchemaGenerator
        validate: Any = validate_schema
        schema = generator().get_schema(request=None, public=True)
        validate(schema)
        if GENERATOR_STATS:
            raise SystemExit("the description has warnings: see above")
        renderer: Any = OpenApiYamlRenderer()
        return str(renderer.render(schema, renderer_context={}).decode())


def main() -> int:
    text = described()
    if "--check" not in sys.argv:
        PATH.write_text(text, encoding="utf-8")
        return 0
    committed = PATH.read_text(encoding="utf-8") if PATH.is_file() else ""
    if committed == text:
        return 0
    lines = difflib.unified_diff(committed.splitlines(), text.splitlines(), "docs/openapi.yaml", "as described", lineterm="")
    shown = [line for line, _ in zip(lines, range(_MOST_LINES), strict=False)]
    sys.stderr.write("\n".join([*shown, "The API has changed: look at the change, then run python -m scripts.openapi", ""]))
    return 1


if __name__ == "__main__":
    sys.exit(main())
