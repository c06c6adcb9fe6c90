"""What people look at, in a real headless Chromium: the day's report, and Airflow's own pages.

The report and the page across days as files, light and dark, on a desktop and on a phone: they ask
for nothing from any network, nothing lies beyond the edge, the browser has nothing to complain
about. On Airflow 3.3:
the `mlflow` connection made through its form and tried with its test button, and the buttons of
a task with the addresses that they lead to. Every view leaves a picture beside the figures.

Needs Chromium and its driver (Debian: apt-get install chromium chromium-driver).
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from devtools.servers.airflow_server import AirflowServer
from devtools.servers.mlflow_server import MlflowServer, mlflow_python
from devtools.synthetic import FIRST, SPEC, write_days
from devtools.traces import open_toy
from proofs.airflow_worlds import finish, scheduler
from retrain_ops.airflow.provider import MLFLOW_FIELDS, MLFLOW_FORM
from retrain_ops.cli.main import run_day
from retrain_ops.report import render_days

BOOTSTRAP, DAY = FIRST + timedelta(days=17), FIRST + timedelta(days=36)
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
CONNECTION = "mlflow_seen"
LABELS = tuple(MLFLOW_FORM["relabeling"].values())
EXTRA_LABEL = MLFLOW_FIELDS["ca_path"]["label"]
# The buttons of a task, and what is on the page that each leads to.
LINKS = {
    "MLflow run": f"//*[contains(text(), 'toy {DAY}')]",
    "Model version": "//*[normalize-space(text())='Version 2']",
    "Report": "//iframe[starts-with(@src, 'blob:')]",
}
PATIENCE_S = 30.0
DAG_FILE = """\
from datetime import datetime, timezone
from retrain_ops.airflow import retraining_dag

retraining_dag(
    {spec!r}, dag_id="toy", model="toy", n_threads=1, catchup=True, mlflow_conn_id={connection!r},
    start_date=datetime({day:%Y, %-m, %-d}, tzinfo=timezone.utc),
    end_date=datetime({day:%Y, %-m, %-d}, 23, tzinfo=timezone.utc),
)
"""


def prove(folder: Path) -> dict[str, Any]:
    """A toy day that promotes, by Airflow, with what the browser showed of it."""
    write_days(folder / "rows", 60, rule_changes=18, shift_from=18, shift=0.6)
    (folder / "toy.toml").write_text(SPEC)
    dags = folder / "dags"
    dags.mkdir()
    values = {"spec": str(folder / "toy.toml"), "day": DAY, "connection": CONNECTION}
    (dags / "toy.py").write_text(DAG_FILE.format(**values))
    variables = {
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
        "RETRAIN_OPS_WORKSPACE": str(folder / "workspace"),
    }
    with ExitStack() as stack:
        mlflow = stack.enter_context(MlflowServer(folder / "mlflow", mlflow_python()))
        run_day(open_toy(folder, "toy", BOOTSTRAP, mlflow.url, bootstrap=True))
        airflow = stack.enter_context(scheduler("airflow-3.3", folder, dags, variables))
        browser = stack.enter_context(chromium(folder))
        assert isinstance(airflow, AirflowServer)
        form = _connect(browser, airflow, mlflow)
        airflow.wait_for_dag("toy")
        airflow.unpause("toy")
        (run,) = finish(airflow, "toy", 1, within_s=300)
        return {
            "connection": form,
            "day": run["state"],
            "links": _follow_links(browser, airflow, run["dag_run_id"]),
            **_look_at_pages(browser, folder, mlflow.url),
        }


@dataclass(frozen=True, slots=True)
class Browser:
    """A page at a time; every click waits until there is something to click on."""

    driver: Chrome
    folder: Path

    def open(self, address: str) -> None:
        self.driver.get(address)

    def click(self, xpath: str) -> None:
        self._until(lambda driver: driver.find_element(By.XPATH, xpath).click() or True)

    def fill(self, css: str, text: str) -> Any:
        field = self._until(lambda driver: driver.find_element(By.CSS_SELECTOR, css))
        field.send_keys(text)
        return field

    def see(self, xpath: str) -> bool:
        """Waits until it can be seen; a page that never shows it is an error."""
        return bool(self._until(lambda d: d.find_element(By.XPATH, xpath).is_displayed()))

    def attribute(self, xpath: str, name: str) -> str:
        return str(self._until(lambda d: d.find_element(By.XPATH, xpath).get_attribute(name)))

    def run(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def show_as(self, size: str, scheme: str) -> None:
        """Emulates a screen and the reader's choice of light or dark."""
        width, height = SIZES[size]
        screen = {"width": width, "height": height, "deviceScaleFactor": 1}
        screen["mobile"] = size == "phone"
        choice = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", choice)

    def picture(self, name: str) -> str:
        """The whole page as a PNG, also what lies below the screen; the file's name."""
        whole = {"captureBeyondViewport": True}
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", whole)
        (self.folder / name).write_bytes(base64.b64decode(shot["data"]))
        return name

    def requests(self) -> list[str]:
        """Addresses asked for since the last call."""
        events = [json.loads(e["message"])["message"] for e in self.driver.get_log("performance")]
        sent = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
        return [str(parameters["request"]["url"]) for parameters in sent]

    def complaints(self) -> list[str]:
        """What the browser's console said since the last call."""
        return [str(entry["message"]) for entry in self.driver.get_log("browser")]

    def _until(self, ready: Callable[[Chrome], Any]) -> Any:
        # A page that is still being built gives elements that are gone a moment later.
        wait = WebDriverWait(self.driver, PATIENCE_S, ignored_exceptions=[WebDriverException])
        return wait.until(ready)


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """A headless browser with a profile of its own; pictures go to the folder."""
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = Chrome(options=options, service=ChromeService(shutil.which("chromedriver")))
    try:
        yield Browser(driver, folder)
    finally:
        driver.quit()


def _connect(browser: Browser, airflow: AirflowServer, mlflow: MlflowServer) -> dict[str, Any]:
    """Makes the connection through the form and presses its test button."""
    browser.show_as("desktop", "light")
    browser.open(f"{airflow.url}/connections")
    browser.click("//button[contains(., 'Add Connection')]")
    browser.fill("[name=connection_id]", CONNECTION)
    kind = browser.fill("[role=dialog] input[role=combobox]", "MLflow")
    kind.send_keys(Keys.ENTER)
    host, _, port = mlflow.url.rpartition(":")
    browser.fill("[name=host]", host)
    browser.fill("[name=port]", port)
    seen = {label: browser.see(f"//label[contains(., '{label}')]") for label in LABELS}
    pictures = [browser.picture("connection_form.png")]
    browser.click("//*[@role='dialog']//button[normalize-space()='Extra Fields']")
    seen[EXTRA_LABEL] = browser.see(f"//label[contains(., '{EXTRA_LABEL}')]")
    pictures.append(browser.picture("connection_extra.png"))
    browser.click("//*[@role='dialog']//button[normalize-space()='Save']")
    browser.click("//button[@aria-label='Test Connection']")
    made = airflow.api("GET", f"/connections/{CONNECTION}")
    tested = airflow.api("POST", "/connections/test", made)
    pictures.append(browser.picture("connection_tested.png"))
    return {
        "fields": seen,
        "tested": {key: tested[key] for key in ("status", "message")},
        "pictures": pictures,
    }


def _follow_links(browser: Browser, airflow: AirflowServer, run_id: str) -> dict[str, Any]:
    """Where the buttons of the day's last task lead, and what is there."""
    task = f"{airflow.url}/dags/toy/runs/{run_id.replace('+', '%2B')}/tasks/summarise/details"
    browser.open(task)
    found = {name: browser.attribute(f"//a[contains(., '{name}')]", "href") for name in LINKS}
    pictures = [browser.picture("task.png")]
    seen = {}
    for name, address in found.items():
        browser.open(address)
        seen[name] = browser.see(LINKS[name])
        pictures.append(browser.picture(f"{name.lower().replace(' ', '_')}.png"))
    return {"addresses": found, "seen": seen, "pictures": pictures}


def _look_at_pages(browser: Browser, folder: Path, url: str) -> dict[str, Any]:
    """The day's page, and the page across the days."""
    days = folder / "days.html"
    days.write_text(render_days(open_toy(folder, "toy", DAY, url), BOOTSTRAP, DAY)[0])
    day = folder / "workspace" / "toy" / f"window_end={DAY}" / "report.html"
    pages = {"report": day, "days": days}
    return {name: look_at(browser, page.as_uri(), name) for name, page in pages.items()}


def look_at(browser: Browser, address: str, name: str) -> dict[str, Any]:
    """Every size and scheme; what a reader must never meet is counted."""
    views = {}
    own = (address.rpartition("/")[0], "data:")
    browser.open("about:blank")
    browser.requests()
    browser.complaints()
    for size in SIZES:
        for scheme in ("light", "dark"):
            browser.show_as(size, scheme)
            browser.open(address)
            asked = [u for u in browser.requests() if not u.startswith(own)]
            views[f"{size}, {scheme}"] = {
                "requests": asked,
                "beyond the edge px": browser.run(
                    "return document.documentElement.scrollWidth - innerWidth"
                ),
                "background": browser.run("return getComputedStyle(document.body).backgroundColor"),
                "complaints": browser.complaints(),
                "picture": browser.picture(f"{name}_{size}_{scheme}.png"),
            }
    return views
