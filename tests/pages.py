"""Pages in a browser without a window: what lies on something else, what is cut off, and who cannot read it."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync"]  # fmt: skip
PAPER = 680
"""Pixels between the margins of an upright A4 page."""
AXE = next(
    (path for path in (Path(os.environ.get("AXE_CORE", "missing")), ROOT / "node_modules/axe-core/axe.min.js")
     if path.is_file()), None,
)  # fmt: skip
"""axe-core, where somebody has put it: `npm install axe-core`, or `AXE_CORE` names the file."""

CONTRASTS = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true}), known = new Map();
  const drawn = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const numbers = (colour) => {
    if (!known.has(colour)) known.set(colour, drawn(colour));
    return known.get(colour);
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
  const ground = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(numbers(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    const box = element.getBoundingClientRect();
    if (!own || !box.width || !box.height || element.closest(":disabled") || !element.checkVisibility()) continue;
    const below = ground(element), above = over(numbers(getComputedStyle(element).color), below);
    const [high, low] = [light(above), light(below)].sort((a, b) => b - a);
    found.push([(high + 0.05) / (low + 0.05), element.textContent.trim().slice(0, 40)]);
  }
  return [light(ground(document.body)), found];
}"""
"""The lightness of the page's ground, and the contrast of each text with what is behind it (WCAG 2.2, 1.4.3)."""

OVERLAPS = """() => {
  const seen = (box, within) => {  // the part that no scrolling region hides
    let [left, top, right, bottom] = [box.left, box.top, box.right, box.bottom];
    for (let at = within; at; at = at.parentElement) {
      if (getComputedStyle(at).overflow === "visible" || at === document.documentElement) continue;
      const room = at.getBoundingClientRect();
      [left, top] = [Math.max(left, room.left), Math.max(top, room.top)];
      [right, bottom] = [Math.min(right, room.right), Math.min(bottom, room.bottom)];
    }
    return {left, top, right, bottom};
  };
  const boxes = [], plain = {opacityProperty: true, visibilityProperty: true};
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walk.nextNode());) {
    const parent = node.parentElement;
    if (!node.textContent.trim() || !parent.checkVisibility(plain)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects())
      boxes.push({...seen(box, parent), parent, what: node.textContent.trim().slice(0, 30)});
  }
  for (const element of document.querySelectorAll("img, audio, video, input, .line"))
    if (element.checkVisibility(plain))
      boxes.push({...seen(element.getBoundingClientRect(), element.parentElement), parent: element,
                  what: element.tagName + " " + (element.alt || "").slice(0, 30)});
  const found = [];
  const shown = boxes.filter((box) => box.right - box.left > 1 && box.bottom - box.top > 1);
  shown.sort((a, b) => a.top - b.top);
  shown.forEach((one, i) => {
    for (const other of shown.slice(i + 1)) {
      if (other.top > one.bottom) break;
      const wide = Math.min(one.right, other.right) - Math.max(one.left, other.left);
      const high = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
      const nested = one.parent.contains(other.parent) || other.parent.contains(one.parent);
      if (wide > 1.5 && high > 3.5 && !(nested && high < 8)) found.push(`${one.what} / ${other.what}`);
    }
  });
  return found;
}"""
"""Pairs of texts, pictures and controls that lie on each other; rows of letters may touch by the pixels of a line."""

CUT = """() => [...document.querySelectorAll("body *")].filter((element) => {
  const box = element.getBoundingClientRect();
  if (!box.width || !element.checkVisibility()) return false;
  const room = element.closest(".scroll, .strip, pre");
  if (room && getComputedStyle(room).overflowX !== "visible") return false;
  return box.right > document.documentElement.clientWidth + 1 || box.left < -1;
}).map((element) => `${element.tagName} ${element.textContent.trim().slice(0, 40)}`)"""
"""Elements that stand beyond the sides of the page, where nobody can scroll to them."""

UNREADABLE = """() => {
  const found = [];
  const say = (what, element) => found.push(`${what}: ${element.outerHTML.slice(0, 80)}`);
  const shown = (selector) => [...document.querySelectorAll(selector)].filter((each) => each.checkVisibility());
  if (!document.documentElement.lang) found.push("no language");
  if (!document.title.trim()) found.push("no title");
  if (shown("main, [role=main]").length !== 1) found.push("not one main landmark");
  if (!shown("h1").length) found.push("no h1");
  shown("h1, h2, h3, h4, h5, h6").reduce((before, heading) => {
    const level = Number(heading.tagName[1]);
    if (level > before + 1) say(`h${level} after h${before}`, heading);
    return level;
  }, 0);
  for (const image of document.images) if (!image.hasAttribute("alt")) say("no alt", image);
  for (const control of shown("a[href], button, input, select, textarea, audio, video, summary, [tabindex='0']")) {
    const labels = [...(control.labels || [])].map((each) => each.textContent).join("");
    const by = (control.getAttribute("aria-labelledby") || "").split(/ +/).filter(Boolean)
      .map((id) => document.getElementById(id)?.textContent || "").join("");
    const alt = [...control.querySelectorAll("img")].map((each) => each.alt).join("");
    const own = (control.getAttribute("aria-label") || "") + (control.title || "") + control.textContent;
    if (!(labels + by + alt + own).trim()) say("no label", control);
  }
  const ids = [...document.querySelectorAll("[id]")].map((each) => each.id).filter(Boolean);
  ids.filter((id, i) => ids.indexOf(id) !== i).forEach((id) => found.push(`id twice: ${id}`));
  return found;
}"""
"""What a reader who does not see the page, or does not use a mouse, would miss (WCAG 2.2, of what can be computed)."""

FOCUS = """() => {
  const element = document.activeElement, style = getComputedStyle(element);
  if (element === document.body) return "";
  const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1 || style.boxShadow !== "none";
  return seen ? "" : element.outerHTML.slice(0, 80);
}"""
"""The element that has the keyboard's focus, where nothing shows that; empty: it shows, or none has it."""


def faint(page):
    """Return the lightness of the ground, and the texts whose contrast is below 4.5."""
    ground, found = page.evaluate(CONTRASTS)
    assert len(found) > 10
    return ground, {text: round(contrast, 2) for contrast, text in found if contrast < 4.5}


def unreadable(page, presses=12):
    """Return what keeps people from reading a page, by our own rules, by the keyboard, and by axe where it is found."""
    found = page.evaluate(UNREADABLE) + serious(page)
    for _ in range(presses):
        page.keyboard.press("Tab")
        found += [f"no focus: {text}" for text in [page.evaluate(FOCUS)] if text]
    return found


def serious(page):
    """Return axe's serious and critical findings; nothing where axe is not found."""
    if AXE is None:
        return []
    page.evaluate(AXE.read_text(encoding="utf-8"))
    results = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"axe {each['id']} ({each['impact']}): {each['nodes'][0]['html'][:100]} "
        f"{each['nodes'][0]['failureSummary']}"
        for each in results["violations"] if each["impact"] in ("serious", "critical")
    ]  # fmt: skip


@contextmanager
def browsing():
    """A browser for pages that are files."""
    if CHROMIUM is None:
        pytest.skip("no Chromium or Chrome on this machine")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


def on_screens(tab):
    """Return what is wrong with a page on a phone and on a desk, in light and in dark: nothing, where all is well."""
    problems = {}
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme, media="screen")
        for width in (390, 1280):
            tab.set_viewport_size({"width": width, "height": 900})
            wide = tab.evaluate("document.documentElement.scrollWidth") > width
            problems[scheme, width] = [*_faint(tab, scheme), *tab.evaluate(OVERLAPS), *(tab.evaluate(CUT) * wide)]
    problems["to read"] = unreadable(tab)
    problems["broken"] = tab.evaluate("[...document.images].filter(each => !each.naturalWidth).map(each => each.alt)")
    return {where: found for where, found in problems.items() if found}


def on_paper(tab):
    """Return what is wrong with a page on paper, even where the browser prefers dark: nothing, where all is well."""
    tab.emulate_media(media="print", color_scheme="dark")
    tab.set_viewport_size({"width": PAPER, "height": 1000})
    wide = tab.evaluate("document.documentElement.scrollWidth")
    boxes = {each.text_content()[:40]: each.bounding_box() for each in tab.locator("details > :not(summary)").all()}
    found = [f"folded: {text}" for text, box in boxes.items() if not box or box["height"] < 5]
    found += [*_faint(tab, "light"), *tab.evaluate(OVERLAPS), *tab.evaluate(CUT)]
    return found + [f"{wide} pixels wide"] * (wide > PAPER + 1)


def _faint(tab, scheme):
    ground, found = faint(tab)
    right = ground > 0.9 if scheme == "light" else ground < 0.1
    return [*found.items(), *([] if right else [f"the ground is {ground:.2f} of white"])]
