"""The report in a headless browser, as a person uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from comparison_folder import write_comparison

from recon_monai.evaluation.report import write_report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_comparison(tmp_path_factory.mktemp("comparison") / "out")
    (folder / "images" / "case_03.h5").unlink()
    return write_report(folder).path


@pytest.fixture
def page(driver: Any, path: Path) -> Iterator[Any]:
    driver.get(path.as_uri())
    shows(driver, case="0", slice="1", method="varnet", map="error")
    yield driver
    assert driver.get_log("browser") == []


def shows(driver: Any, **wanted: str) -> None:
    """Wait until the viewer has drawn that."""
    from selenium.webdriver.support.ui import WebDriverWait

    def drawn(browser: Any) -> bool:
        found = browser.execute_script("return {...document.getElementById('viewer').dataset}")
        return all(found.get(name) == value for name, value in wanted.items())

    WebDriverWait(driver, 20).until(drawn, f"the viewer does not show {wanted}")


def find(driver: Any, selector: str) -> Any:
    return driver.find_element("css selector", selector)


def click(driver: Any, selector: str) -> None:
    element = find(driver, selector)
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()


def choose(driver: Any, name: str, value: str) -> None:
    from selenium.webdriver.support.ui import Select

    Select(find(driver, f"#{name}")).select_by_value(value)


def press(driver: Any, *keys: str) -> None:
    find(driver, "#viewer").send_keys(*keys)


def pixels(driver: Any, selector: str) -> list[int]:
    """Colors of a canvas, every fifth pixel; from a copy, since Chromium warns of reading shown ones repeatedly."""
    return driver.execute_script(
        "const shown = document.querySelector(arguments[0]), copy = document.createElement('canvas');"
        "copy.width = shown.width; copy.height = shown.height;"
        "const context = copy.getContext('2d', {willReadFrequently: true}); context.drawImage(shown, 0, 0);"
        "return [...context.getImageData(0, 0, copy.width, copy.height).data].filter((_, at) => at % 20 < 3)",
        selector,
    )


@pytest.fixture
def keys() -> Callable[[str], str]:
    from selenium.webdriver.common.keys import Keys

    return lambda name: getattr(Keys, name)


def test_methods_are_switched_by_click_and_key(page):
    network = pixels(page, "#image"), pixels(page, "#map")
    click(page, '#methods [data-method="zero_filled"]')
    shows(page, method="zero_filled")
    zero_filled = pixels(page, "#image"), pixels(page, "#map")
    assert zero_filled[0] != network[0] and sum(zero_filled[1]) > sum(network[1])
    press(page, "4")
    shows(page, method="varnet")
    assert (pixels(page, "#image"), pixels(page, "#map")) == network
    press(page, "0")
    shows(page, method="")
    assert pixels(page, "#image") == pixels(page, "#target")
    press(page, "6")
    shows(page, method="small")
    assert find(page, "#method-name").text == "small"
    click(page, '#strip [data-method="dircn"]')
    shows(page, method="dircn")
    click(page, "#image")
    shows(page, method="small")


def test_slices_by_slider_and_keys(page, keys):
    slider = find(page, "#slice")
    assert slider.get_attribute("max") == "2"
    middle = pixels(page, "#image")
    slider.send_keys(keys("ARROW_RIGHT"))
    shows(page, slice="2")
    assert find(page, "#slice-number").text == "7 (3 of 3)" and pixels(page, "#image") != middle
    press(page, keys("ARROW_LEFT"))
    shows(page, slice="1")
    assert pixels(page, "#image") == middle


def test_list_is_sorted_and_walked(page, keys):
    values = "return [...document.querySelectorAll('#list button')].map((b) => Number(b.children[1].textContent))"
    for method, measure, sign in (("small", "ssim", 1), ("cg_sense", "nmse", -1)):
        choose(page, "sort-method", method)
        choose(page, "sort-measure", measure)
        choose(page, "sort-order", "worst")
        worst = page.execute_script(values)
        assert len(worst) == 4 and worst == sorted(worst, key=lambda value, sign=sign: sign * value)
        choose(page, "sort-order", "best")
        assert page.execute_script(values) == worst[::-1]
    choose(page, "sort-order", "name")
    order = page.execute_script("return [...document.querySelectorAll('#list button')].map((b) => b.dataset.case)")
    click(page, f'#list [data-case="{order[0]}"]')
    press(page, keys("ARROW_DOWN"))
    shows(page, case=order[1])
    press(page, keys("ARROW_UP"))
    shows(page, case=order[0])


def test_maps_share_one_scale_that_is_amplified_for_all(page):
    scale = find(page, "#map-scale").text
    press(page, "1")
    shows(page, method="zero_filled")
    assert find(page, "#map-scale").text == scale and "for all methods" in scale
    before = sum(pixels(page, "#map"))
    press(page, "+")
    shows(page, gain="1")
    assert sum(pixels(page, "#map")) > before and find(page, "#map-scale").text != scale
    press(page, "e")
    shows(page, map="null_space")
    assert "where the measurement says nothing" in find(page, "#strip-words").text
    press(page, "4", "e", "e")
    shows(page, map="spread", method="varnet")


def test_region_follows_the_pointer_until_held(page):
    from selenium.webdriver import ActionChains

    choose(page, "zoom", "2")
    center = pixels(page, "#strip canvas")
    target = find(page, "#target")
    ActionChains(page).move_to_element_with_offset(target, -80, -80).perform()
    moved = pixels(page, "#strip canvas")
    assert moved != center and find(page, "#target-value").text.startswith("≈")
    press(page, "z")
    ActionChains(page).move_to_element_with_offset(target, 80, 80).perform()
    assert pixels(page, "#strip canvas") == moved
    assert find(page, "#pin").get_attribute("aria-pressed") == "true"


def test_files_without_reference_or_images_say_so(page):
    click(page, '.tabs [data-section="raw"]')
    shows(page, case="4", map="")
    assert "no reference" in find(page, "#case-message").text
    assert "small failed: out of memory" in find(page, "#case-message").text
    assert not find(page, "#map-panel").is_displayed() and not find(page, "#target-panel").is_displayed()
    assert not find(page, '#methods [data-method="small"]').is_enabled()
    click(page, '.tabs [data-section="simulated"]')
    click(page, '#list [data-case="3"]')
    shows(page, case="3")
    assert "No images: case_03.h5: the image file is missing" in find(page, "#case-message").text
    assert not find(page, "#image").is_displayed()


def test_measure_is_switched_and_a_point_opens_its_file(page):
    section = "#section-simulated"
    click(page, '.measures [data-measure="nmse"]')
    assert find(page, f'{section} .measure[data-measure="nmse"]').is_displayed()
    assert not find(page, f'{section} .measure[data-measure="ssim"]').is_displayed()
    assert "There is no NMSE of these files" in find(page, "#section-raw .absent").text
    page.execute_script(
        'document.querySelector(\'#section-simulated .point[data-case="2"][data-method="dircn"]\')'
        ".dispatchEvent(new MouseEvent('click', {bubbles: true}))"
    )
    shows(page, case="2", method="dircn")


def test_the_method_that_others_are_compared_with_is_chosen(page):
    def bases() -> list[str]:
        tables = page.find_elements("css selector", "#section-simulated .pairs")
        return [table.get_attribute("data-base") for table in tables if table.is_displayed()]

    assert bases() == ["l1_wavelet"]  # the best that is not learned
    select = find(page, '#section-simulated .pairs[data-base="l1_wavelet"] select')
    select.find_element("xpath", "option[text()='dircn']").click()
    assert bases() == ["dircn"]
    assert "Paired difference from" in find(page, '#section-simulated .pairs[data-base="dircn"] caption').text
    assert page.switch_to.active_element.get_attribute("value") == "dircn"
    click(page, '.measures [data-measure="nmse"]')
    assert bases() == ["dircn"]


def test_narrow_screens_need_no_scrolling_sideways(page):
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 380, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )
    assert page.execute_script("return document.documentElement.scrollWidth") <= 380
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
