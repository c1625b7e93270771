"""The page as a browser shows it: nothing runs on it, nothing leaves it, it fits, and its points open."""

import dataclasses
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk._report.record import record_of
from jaxwalk._report.report import write

pytestmark = pytest.mark.once

selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: the page is not looked at")

EVIL = "<script>window.injected=1</script><img src=x onerror='window.injected=1'>\"'></svg></style></title>&{{7*7}}"


def browser_of():
    from selenium.webdriver.chrome.service import Service

    chromium, driver = (shutil.which(name) for name in ("chromium", "chromedriver"))
    if chromium is None or driver is None:
        pytest.skip("there is no chromium with its chromedriver (Debian: chromium, chromium-driver): not looked at")
    options = selenium.ChromeOptions()
    options.binary_location = chromium
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "hide-scrollbars"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    return selenium.Chrome(options=options, service=Service(driver))


@pytest.fixture(scope="module")
def browser():
    browser = browser_of()
    yield browser
    browser.quit()


def odd(x):
    """A function whose every name is an attack."""
    hidden = jw.tag(jax.nn.relu(jnp.outer(x, x)), f"{EVIL}/hidden")
    return jnp.sum(jw.tag(hidden, f"{EVIL}/{EVIL}"))


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder, x = tmp_path_factory.mktemp("pages"), jnp.array([1.0, 0.0, -1.0])
    file = folder / f"{EVIL.replace('/', '')}.py"
    file.write_text(f"import jax.numpy as jnp\ndef fun(x):\n    '''{EVIL}'''\n    return jnp.sum(x * 2)\n")
    space = {}
    exec(compile(file.read_text(), str(file), "exec"), space)
    kept = jw.walk(odd, keep=lambda o, d: {EVIL: o.sum(), "output_rms": o[0, 0], "output_max": o[0, 0]})(x)
    found = jw.evaluate(lambda w, x, y: odd(x) - y, {}, [(np.float32([[1, 0, 2]]), np.zeros(1, np.float32))])
    table = dataclasses.replace(record_of(found, EVIL), notes=[f"Not used of `--data`: `{EVIL}`."], command=EVIL)
    records = {
        "walk": record_of(jw.walk(odd)(x).with_kinks(jw.kinks(odd, x)), EVIL),
        "lines": record_of(jw.walk(space["fun"], by="lines")(x)),
        "kept": record_of(kept),
        "data": table,
    }
    for name, record in records.items():
        write(record, folder / f"{name}.html")
    return {name: f"{(folder / name).as_uri()}.html" for name in records}


def opened(browser, page, width=1400, scheme="light"):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(page)
    return browser


def requested(browser):
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    return {url for url in urls if not url.startswith("data:")}


@pytest.mark.parametrize("name", ["walk", "lines", "kept", "data"])
def test_nothing_runs_on_it_and_nothing_leaves_it(browser, pages, name):
    browser.get_log("performance"), browser.get_log("browser")
    opened(browser, pages[name])
    assert browser.execute_script("return window.injected") is None
    assert browser.execute_script("return document.querySelectorAll('script, img, iframe, object').length") == 0
    assert browser.execute_script("return document.querySelectorAll('main section').length") >= 3
    assert "<script>window.injected=1</script>" in browser.execute_script("return document.body.textContent")
    assert browser.get_log("browser") == []
    assert requested(browser) == {pages[name]}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_it_fits(browser, pages, width, scheme):
    for page in pages.values():
        opened(browser, page, width, scheme)
        browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(13, 17, 23)"}[scheme]


def test_a_point_opens_by_a_click_and_by_a_link(browser, pages):
    from selenium.webdriver.common.by import By

    opened(browser, pages["walk"])
    point = browser.find_element(By.CSS_SELECTOR, "details.point")
    detail = point.find_element(By.CSS_SELECTOR, ".detail")
    assert not detail.is_displayed()
    point.find_element(By.CSS_SELECTOR, "summary").click()
    assert detail.is_displayed()
    assert detail.find_elements(By.CSS_SELECTOR, "svg")
    point.find_element(By.CSS_SELECTOR, "summary").click()
    assert not detail.is_displayed()
    browser.find_element(By.CSS_SELECTOR, ".findings a").click()
    target = browser.execute_script("return location.hash")
    assert browser.find_element(By.CSS_SELECTOR, target).is_displayed()


def test_printed_it_is_light_and_groups_are_unfolded(browser, pages):
    opened(browser, pages["walk"], scheme="dark")
    browser.execute_script("document.querySelectorAll('details.group').forEach(d => d.open = false)")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    shown = "return document.querySelector('.below').getBoundingClientRect().height"
    assert browser.execute_script(shown) > 0
    assert browser.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
