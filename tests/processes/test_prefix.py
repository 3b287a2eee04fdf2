"""The product below a path of a host it shares, behind a real proxy with TLS that takes the path off, or leaves it."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
import requests

from novita_manager.embedded.ports import any_free
from tests.conftest import StartSimulator
from tests.processes.conftest import Deploy
from tests.processes.fleet import BODY
from tests.processes.image import Containers
from tests.processes.proxy import HOST, Route, https_proxy

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("image")]  # built once for all of them
PREFIX = "/gpu"


def trusting(certificate: Path) -> requests.Session:
    """A session that trusts the proxy, and nothing that the environment names."""
    session = requests.Session()
    session.trust_env, session.verify = False, str(certificate)
    return session


class Browser:
    """Opens pages and fills the form that lets people in."""

    def __init__(self, certificate: Path) -> None:
        self.session = trusting(certificate)

    def open(self, address: str) -> requests.Response:
        answer = self.session.get(address, timeout=20)
        assert answer.status_code == 200, f"{address}: {answer.status_code}"
        return answer

    def sign_in(self, page: requests.Response, password: str) -> requests.Response:
        """Fill the form of that page, as a browser sends it."""
        (token,) = set(re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text))
        hidden = {"csrfmiddlewaretoken": token, "next": f"{PREFIX}/"}
        origin = f"{urlsplit(page.url).scheme}://{urlsplit(page.url).netloc}"
        answer = self.session.post(
            page.url,
            data={**hidden, "username": "admin", "password": password},
            headers={"Origin": origin, "Referer": page.url},
            timeout=20,
        )
        assert answer.status_code == 200, answer.status_code
        return answer


def addresses(page: requests.Response) -> set[str]:
    """The addresses on its own host that a page names."""
    return set(re.findall(r'(?:href|src|action|formaction|data-live)="(/[^"]*)"', page.text))


def test_everything_stays_below_the_path_whether_the_proxy_takes_it_off_or_leaves_it(
    deploy: Deploy, simulator: StartSimulator, tmp_path: Path
) -> None:
    port = any_free(HOST)
    public = f"https://{HOST}:{port}{PREFIX}"
    running = deploy(simulator(), ("web", "worker"), PUBLIC_URL=public, ALLOWED_HOSTS="inside")

    for strips in (True, False):
        stays_below_the_path(running, public, tmp_path, strips=strips)


def stays_below_the_path(running: Containers, public: str, folder: Path, *, strips: bool) -> None:
    port = urlsplit(public).port
    assert port is not None
    with https_proxy(folder, port, Route(port=running.port, prefix=PREFIX, strips=strips)) as proxy:
        browser = Browser(proxy.certificate)
        sign_in = browser.open(f"{public}/")
        fleet = browser.sign_in(sign_in, running.password)
        admin = browser.open(f"{public}/admin/")
        docs = browser.open(f"{public}/api/docs")
        pages = (sign_in, fleet, admin, docs)
        assert all(page.url.startswith(f"{public}/") for page in pages)
        assert fleet.url == f"{public}/"
        named = set().union(*(addresses(page) for page in pages))
        assert [address for address in named if not address.startswith(f"{PREFIX}/")] == []
        styles = [address for address in named if "/static/" in address]
        assert len(styles) > 5
        for address in styles:
            browser.open(urljoin(public, address))
        assert {cookie.path for cookie in browser.session.cookies} == {PREFIX}
        assert all(cookie.secure for cookie in browser.session.cookies)

        api = trusting(proxy.certificate)
        api.headers["Authorization"] = f"Bearer {running.key}"
        bodies: list[dict[str, Any]] = [{**BODY, "name": name} for name in (f"a-{strips}", f"b-{strips}")]
        made = [api.post(f"{public}/api/v1/instances", json=body, timeout=20) for body in bodies]
        listed = api.get(f"{public}/api/v1/instances", params={"limit": 1}, timeout=20).json()
        schema = api.get(f"{public}/api/schema", timeout=20).json()

        assert [answer.status_code for answer in made] == [202, 202]
        assert made[0].headers["Location"] == f"{PREFIX}/api/v1/instances/{made[0].json()['id']}"
        assert listed["next"].startswith(f"{public}/api/v1/instances?")
        assert api.get(listed["next"], timeout=20).json()["previous"].startswith(f"{public}/api/v1/instances")
        assert [server["url"] for server in schema["servers"]] == [public]
        assert api.get(f"{public}/metrics", timeout=20).status_code == 200
