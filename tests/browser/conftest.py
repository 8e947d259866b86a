"""A real browser: Debian's Chromium, driven by playwright, cut off from everything but this machine."""

import contextlib
import os
from pathlib import Path

import pytest

from tests.support.artifacts import ARTIFACTS

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
LOCAL = ("file://", "about:", "data:", "blob:", "http://127.0.0.1:", "http://localhost:")


@pytest.fixture(scope="package")
def browser():
    """Chromium, started once."""
    api = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip(f"no Chromium at {CHROMIUM}: `make test` installs it")
    with api.sync_playwright() as playwright:
        arguments = ["--headless", "--no-sandbox", "--disable-gpu"]
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield started
        started.close()


@contextlib.contextmanager
def watched(browser):
    """A page, and what went wrong on it so far: errors, and requests that would leave the machine."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    opened.set_default_timeout(60_000)
    wrong = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    opened.on("dialog", lambda dialog: (wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    opened.on("request", lambda asked: None if asked.url.startswith(LOCAL) else wrong.append(f"request: {asked.url}"))
    yield opened, wrong
    opened.close()


def keep_screenshot(opened, request):
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    opened.screenshot(path=ARTIFACTS / f"{request.node.name}.png")


@pytest.fixture
def fresh_page(browser, request):
    """A page that keeps a screenshot, and fails the test on any error and any request that would leave the machine."""
    with watched(browser) as (opened, wrong):
        yield opened
        keep_screenshot(opened, request)
    assert wrong == []


@pytest.fixture
def page(fresh_page):
    """A page of the test's own, unless a module has one for all of its tests."""
    return fresh_page


@pytest.fixture(scope="module")
def long_lived(browser):
    """A page that the tests of a module share, and what went wrong on it since it was last looked at."""
    with watched(browser) as (opened, wrong):
        yield opened, wrong


@pytest.fixture
def shared_page(long_lived, request):
    """The same page in every test of a module, which keeps a screenshot and fails each test as `fresh_page` does."""
    opened, wrong = long_lived
    yield opened
    keep_screenshot(opened, request)
    happened, wrong[:] = list(wrong), []
    assert happened == []
