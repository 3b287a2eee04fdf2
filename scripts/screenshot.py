"""Pictures of the main pages of a product that runs, for a desk (1280 px) and a phone (390 px), in light and dark.

    python -m scripts.screenshot --url http://127.0.0.1:3000 --user admin --password ... --into docs/screenshots

The password may also come from BOOTSTRAP_ADMIN_PASSWORD.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

from scripts.chromium import ARGUMENTS, chromium_path

WIDTHS = {"desk": (1280, 860), "phone": (390, 844)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A page to picture: the name of its file, and its path or the selector of a link on the page before."""

    name: str
    path: str = ""
    follow: str = ""


SHOTS = (
    Shot(name="fleet", path="/"),
    Shot(name="instance", follow="table.fleet a.name"),
    Shot(name="create", path="/create?product_name=RTX%204090%2024GB&template_id=100"),
    Shot(name="admin", path="/admin/"),
    Shot(name="admin-instances", path="/admin/instances/instance/"),
    Shot(name="admin-instance", follow="#result_list tbody a[href*='/change/']"),
    Shot(name="admin-jobs", path="/admin/instances/job/"),
    Shot(name="admin-events", path="/admin/instances/event/"),
)


def main() -> int:
    given = _arguments()
    chromium = chromium_path()
    if chromium is None:
        sys.stderr.write("No Chromium is on this machine: install the package chromium\n")
        return 2
    into = Path(given.into)
    into.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        try:
            for name, path in _pictures(browser, given, into):
                sys.stdout.write(f"{name}: {path}\n")
        finally:
            browser.close()
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Picture the main pages of a product that runs.")
    parser.add_argument("--url", default=f"http://127.0.0.1:{os.environ.get('PORT', '3000')}")
    parser.add_argument("--user", default="admin")
    parser.add_argument("--password", default=os.environ.get("BOOTSTRAP_ADMIN_PASSWORD", ""))
    parser.add_argument("--into", default="docs/screenshots")
    parser.add_argument("--dark", action="store_true", help="in the dark colours")
    given = parser.parse_args()
    if urlsplit(given.url).scheme not in ("http", "https"):
        parser.error("--url begins with http:// or https://")
    if not given.password:
        parser.error("--password is missing: make run printed it at its first start")
    return given


def _pictures(browser: Browser, given: argparse.Namespace, into: Path) -> Iterator[tuple[str, Path]]:
    for device, (width, height) in WIDTHS.items():
        with _signed_in(browser, given, width, height) as page:
            for shot in SHOTS:
                if shot.follow and not page.locator(shot.follow).count():
                    continue
                _go(page, given.url, shot)
                path = into / f"{shot.name}-{device}{'-dark' if given.dark else ''}.png"
                page.screenshot(path=path, full_page=True)
                yield shot.name, path


def _go(page: Page, url: str, shot: Shot) -> None:
    address = page.locator(shot.follow).first.get_attribute("href") if shot.follow else shot.path
    page.goto(urljoin(f"{url}/", address or "/"), wait_until="load")
    page.wait_for_function("document.fonts.ready.then(() => true)")


@contextmanager
def _signed_in(browser: Browser, given: argparse.Namespace, width: int, height: int) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if given.dark else "light", locale="en-GB"
    )
    page = context.new_page()
    try:
        page.goto(f"{given.url}/sign-in")
        page.fill("input[name=username]", given.user)
        page.fill("input[name=password]", given.password)
        page.click("button[type=submit]")
        page.wait_for_selector("table.fleet")
        yield page
    finally:
        context.close()


if __name__ == "__main__":
    sys.exit(main())
