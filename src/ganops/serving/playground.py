"""A web page on the champion (Gradio): draw, walk from one sample to another, compare two versions blind and vote.

The page needs no internet and tells nobody: it loads nothing from other hosts, which a policy in its answers makes the
browser hold it to, and Gradio's own statistics are off.
"""

import functools
import importlib
import os
import re
import secrets
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from numpy.typing import NDArray

from ganops.core import pictures
from ganops.core.errors import UserError
from ganops.core.files import embedded
from ganops.core.listening import bound
from ganops.registry.card import shape
from ganops.reports.page import TEMPLATES, environment
from ganops.serving.gallery import MAX_SAMPLES, MAX_SEED, STRIP_SAMPLES, Drawn, Exhibit, Exhibition, Settings, whole
from ganops.serving.limits import Doorway, serve, token
from ganops.serving.votes import Ballot

IN_TURN = -1
"""The choice of no label of its own."""
PAIR = 12
"""Samples on each side of a ballot."""
PLAYER = 192
"""Pixels of the narrowest player."""
SURPRISES = 1_000_000
"""Seeds that are picked at random are below: short enough to be told to somebody."""
POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",  # Gradio's page needs both
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data:",
        "font-src 'self' data:",
        "worker-src 'self' blob:",
        "frame-ancestors 'self'",
    ]
)
"""The browser asks no other host for anything."""
ASKED = re.compile(
    r"(GET|HEAD) /(config|theme\.css|favicon\.ico|manifest\.json|robots\.txt|(assets|static)/.*)?|"
    r"GET /gradio_api/(queue/data|heartbeat/\w+|startup-events|info|app_id|theme\.css)|"
    r"POST /gradio_api/(queue/join|cancel|reset)"
)
"""The paths that the page itself asks for. Gradio would also keep uploads and hand out files."""
COLOURS = {
    name: colour
    for part in ("body_text_color_subdued", "block_info_text_color", "block_title_text_color", "block_label_text_color")
    for name, colour in ((part, "*neutral_600"), (f"{part}_dark", "*neutral_300"))
} | {"button_primary_background_fill": "*primary_600", "button_primary_background_fill_dark": "*primary_600"}
"""Gradio's own are too faint to be read: these have a contrast of 4.5 and more in both schemes (WCAG 2.2, 1.4.3)."""
PRIVATE = {"api_visibility": "private"}
"""Settings of every event, so that Gradio's description of the page leaves it out."""
WAITING = 64
"""The most requests that wait for their turn."""


def _gradio() -> Any:
    """Gradio takes seconds to import, and reads from the environment whether it may count its users."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("gradio")


def run(shown: Exhibition, *, host: str, port: int, tell: Callable[[str], None], allowed: Sequence[str] = ()) -> None:
    """Serves the page until it is interrupted.

    Args:
        shown: What the page is about.
        host: Address to listen at.
        port: 0: a free one.
        tell: Is given the page's address when it can be opened.
        allowed: Names by which browsers may call it, beside those of this machine and `host` (see `limits.Doorway`).

    Raises:
        UserError: There is no champion to show, or the address cannot be used.
    """
    token()
    shown.exhibit(shown.champion())  # what does not load is told here, not to the first visitor
    with suppress(KeyboardInterrupt), bound(host, port) as listener:
        # pages that are open keep a connection: they are not waited for
        serve(app(shown, host, allowed), listener, tell, log_level="warning", timeout_graceful_shutdown=1)


def app(shown: Exhibition, host: str = "127.0.0.1", allowed: Sequence[str] = ()) -> FastAPI:
    """The page as an application that any ASGI server runs, for those who call it by one of these names."""
    gr = _gradio()
    outer = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    outer.add_middleware(_Policy)
    outer.add_middleware(Doorway, host=host, allowed=allowed, token=token())
    fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}
    theme = gr.themes.Base(primary_hue="blue", neutral_hue="slate", **fonts).set(**COLOURS)
    page: FastAPI = gr.mount_gradio_app(
        outer, Page(shown).blocks(), path="/", theme=theme, css_paths=[TEMPLATES / "playground.css"], footer_links=[],
        run_history=False, ssr_mode=False, pwa=False, mcp_server=False, enable_monitoring=False, max_file_size="1kb",
    )  # fmt: skip
    return page


class _Policy:
    """Hands on what the page asks for, and nothing else of Gradio's; adds `POLICY` to each answer."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and not ASKED.fullmatch(f"{scope['method']} {scope['path']}"):
            await JSONResponse({"error": "the page has no such part"}, 404)(scope, receive, send)
            return

        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"content-security-policy", POLICY.encode())]
            await send(message)

        await self.app(scope, receive, sent)


def _told(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Show what a person can mend on the page, in the words of the error."""

    @functools.wraps(handler)
    def call(*arguments: Any) -> Any:
        try:
            return handler(*arguments)
        except UserError as error:
            raise _gradio().Error(str(error), print_exception=False) from error

    return call


class Page:
    """The page: its parts, and what happens when they are used.

    A visitor's version is kept with the visit: a promotion changes no page that is open, until it is asked to. What
    samples are called is what they are called as the page begins: the versions of a model are of one kind.
    """

    def __init__(self, shown: Exhibition) -> None:
        self.shown = shown
        spec = shown.exhibit(shown.champion()).drawer.spec
        self.samples, self.variety = f"{spec.noun}s", spec.variety.capitalize()
        templates = environment()
        templates.globals["percent"] = lambda share: f"{100 * share:.0f} %"
        self.parts: Any = templates.get_template("playground.html.j2").module

    # What the parts of the page are.

    def blocks(self) -> Any:
        """The page for Gradio."""
        gr = _gradio()
        with gr.Blocks(title=self.shown.name, analytics_enabled=False, fill_width=True) as page:
            version, query = gr.State(), gr.Textbox(visible=False)
            with gr.Row(elem_id="head", equal_height=False):
                head = gr.HTML(elem_classes="page", elem_id="about")
                renew = gr.Button("Use the present champion", scale=0, min_width=220, elem_id="renew", size="sm")
            with gr.Tab("Draw"):
                draw = self._draw_tab(gr, version)
            with gr.Tab("Between two"):
                walk = self._walk_tab(gr, version)
            with gr.Tab("Which is better?"):
                other = self._compare_tab(gr, version)
            with gr.Tab("Card"):
                card = gr.Markdown(elem_id="card")
            settings, drawn = draw
            strip, walked = walk
            outputs = [version, head, card, *settings, strip["label"], other]
            hidden = {**PRIVATE, "show_progress": "hidden"}
            opened = page.load(self.open, query, outputs, js="() => [window.location.search]", **hidden)
            renewed = renew.click(self.renew, None, [version, head, card, settings[2], strip["label"], other], **hidden)
            for event in (opened, renewed):
                event.success(self.draw, [version, *settings], drawn, **hidden)
                event.success(self.walk, [version, *strip.values()], walked, **hidden)
        page.queue(max_size=WAITING)
        return page

    def _draw_tab(self, gr: Any, version: Any) -> tuple[list[Any], Any]:
        with gr.Row():
            seed = gr.Number(0, label="First seed", precision=0, minimum=0, maximum=MAX_SEED, min_width=140)
            count = gr.Slider(1, MAX_SAMPLES, Settings.count, step=1, label=self.samples.capitalize(), min_width=200)
            label = self._label(gr)
            truncation = gr.Slider(0, 1, 1, step=0.05, label=self.variety, info="Less: more typical.", min_width=200)
        with gr.Row():
            go = gr.Button("Draw", variant="primary", scale=0, min_width=150, elem_id="draw")
            surprise = gr.Button("Surprise me", scale=0, min_width=150, elem_id="surprise")
        drawn = gr.HTML(elem_classes="page", elem_id="drawn", min_height=120)
        settings = [seed, count, label, truncation]
        triggers, inputs = [go.click, seed.submit, count.release, label.input, truncation.release], [version, *settings]
        gr.on(triggers, self.draw, inputs, drawn, trigger_mode="always_last", **PRIVATE)
        surprise.click(_surprise, None, seed, **PRIVATE).success(self.draw, inputs, drawn, **PRIVATE)
        return settings, drawn

    def _walk_tab(self, gr: Any, version: Any) -> tuple[dict[str, Any], Any]:
        with gr.Row():
            parts = {
                "a": gr.Number(0, label="Seed A", precision=0, minimum=0, maximum=MAX_SEED, min_width=100),
                "b": gr.Number(1, label="Seed B", precision=0, minimum=0, maximum=MAX_SEED, min_width=100),
                "label": self._label(gr, "of each seed"),
                "truncation": gr.Slider(0, 1, 1, step=0.05, label=self.variety, scale=2, min_width=200),
                "steps": gr.Slider(*STRIP_SAMPLES, 9, step=1, label=self.samples.capitalize(), scale=2, min_width=200),
            }
        with gr.Row():
            go = gr.Button("Walk", variant="primary", scale=0, min_width=150, elem_id="walk")
            surprise = gr.Button("Surprise me", scale=0, min_width=150)
        walked = gr.HTML(elem_classes="page", elem_id="walked", min_height=120)
        inputs = [version, *parts.values()]
        triggers = [parts["a"].submit, parts["b"].submit, parts["label"].input]
        triggers += [parts["truncation"].release, parts["steps"].release]
        gr.on([go.click, *triggers], self.walk, inputs, walked, trigger_mode="always_last", **PRIVATE)
        surprised = surprise.click(lambda: (_surprise(), _surprise()), None, [parts["a"], parts["b"]], **PRIVATE)
        surprised.success(self.walk, inputs, walked, **PRIVATE)
        return parts, walked

    def _compare_tab(self, gr: Any, version: Any) -> Any:
        ballot = gr.State()
        gr.HTML(
            "<p>Two versions draw from the same seeds. A lot decides the sides, and is told after your vote.</p>",
            elem_classes="page",
        )
        with gr.Row():
            other = gr.Dropdown([], label="Compared with", elem_id="other", min_width=200)
            go = gr.Button(f"Show {self.samples}", variant="primary", scale=0, min_width=170, elem_id="ballot")
        pair = gr.HTML(elem_classes="page", elem_id="pair")
        with gr.Row(elem_id="vote"):
            buttons = {
                choice: gr.Button(words, interactive=False, min_width=80, elem_id=f"vote-{choice}")
                for choice, words in {"left": "Left", "none": "No difference", "right": "Right"}.items()
            }
        result = gr.HTML(elem_classes="page", elem_id="result")
        go.click(self.compare, [version, other], [ballot, pair, result, *buttons.values()], **PRIVATE)
        for choice, button in buttons.items():
            vote = functools.partial(self.vote, choice)
            button.click(vote, ballot, [result, *buttons.values()], **PRIVATE)
        return other

    @staticmethod
    def _label(gr: Any, without: str = "all in turn") -> Any:
        return gr.Dropdown([(without, IN_TURN)], value=IN_TURN, label="Label", min_width=180)

    # What happens.

    @_told
    def open(self, search: str) -> list[Any]:
        """A visit: the settings of its link, or the champion as it is now."""
        query = dict(parse_qsl((search or "").removeprefix("?")))
        settings = Settings.of(query)
        named = query.get("version", "")
        version = int(named) if named.isdecimal() else self.shown.champion()
        exhibit = self.shown.exhibit(version)
        settings.checked(exhibit.drawer.spec)
        about = self._about(exhibit, settings.label)
        return [*about[:3], settings.seed, settings.count, about[3], settings.truncation, *about[4:]]

    @_told
    def renew(self) -> list[Any]:
        """The champion as it is now, for a page that is open."""
        return self._about(self.shown.exhibit(self.shown.champion()), None)

    def _about(self, exhibit: Exhibit, label: int | None) -> list[Any]:
        """Version, head, card, the labels of two tabs, and what it can be compared with."""
        gr = _gradio()
        spec = exhibit.drawer.spec
        head = self.parts.head(
            exhibit.name, exhibit.version, self.shown.champion(), shape(spec), spec.noun, spec.classes,
            {name: f"{value:.3g}" for name, value in exhibit.metrics.items()},
        )  # fmt: skip
        card = exhibit.card.replace("](samples.png)", f"]({embedded('image/png', exhibit.samples)})")
        classes = list(zip(exhibit.labels, range(exhibit.drawer.classes), strict=True))
        labels = [
            gr.Dropdown([(without, IN_TURN), *classes], value=value, visible=bool(classes))
            for without, value in (("all in turn", IN_TURN if label is None else label), ("of each seed", IN_TURN))
        ]
        others = self.shown.others(exhibit.version)
        choices = [(words, number) for number, words in others.items()]
        return [
            exhibit.version, str(head), card, *labels,
            gr.Dropdown(choices, value=next(iter(others), None), info=None if others else "There is no other version."),
        ]  # fmt: skip

    @_told
    def draw(self, version: int, seed: float, count: float, label: int, truncation: float) -> str:
        """The grid, or the list of texts, and how it is had again."""
        exhibit = self._exhibit(version)
        spec = exhibit.drawer.spec
        seed, count = whole("first seed", seed, 0, MAX_SEED), whole(f"{spec.noun}s", count, 1, MAX_SAMPLES)
        settings = Settings(seed, count, _chosen(label), truncation)
        shown = _items(exhibit.draw(settings), 256 if settings.count == 1 else 96)
        for one, item in zip(settings.seeds.tolist(), shown, strict=True):
            note, link = exhibit.label_of(one, settings.label), replace(settings, seed=one, count=1).link(version)
            item |= {"caption": f"seed {one}", "note": note, "alt": f"seed {one}", "link": link}
        program = settings.program(exhibit.name, version, spec.unit)
        again = self.parts.again(settings.link(version), program, spec.noun)
        return str(self.parts.samples(shown)) + str(again)

    @_told
    def walk(self, version: int, a: float, b: float, label: int, truncation: float, steps: float) -> str:
        """The strip from one seed to the other."""
        exhibit = self._exhibit(version)
        drawn = exhibit.walk(a, b, _chosen(label), truncation, steps)
        last = len(drawn.stored) - 1
        captions = [f"{100 * i / last:.0f} %" for i in range(last + 1)]
        captions[0], captions[-1] = f"seed {int(a)}", f"seed {int(b)}"
        items = zip(_items(drawn, 96), captions, strict=True)
        return str(self.parts.samples([{**item, "caption": caption, "alt": caption} for item, caption in items]))

    @_told
    def compare(self, version: int, other: int | None) -> list[Any]:
        """A new ballot: samples left and right, nothing that tells which is which.

        Raises:
            UserError: There is no other version.
        """
        gr, exhibit = _gradio(), self._exhibit(version)
        if other is None:
            raise UserError(f"{exhibit.name} has no other version than v{version}: there is nothing to compare")
        first = _surprise()
        ballot = self.shown.ballot(version, other, range(first, first + PAIR))
        left, right = (
            self._side(side, number, ballot.seeds)
            for side, number in (("left", ballot.left.version), ("right", ballot.right.version))
        )
        buttons = [gr.Button(interactive=True)] * 3
        return [ballot, str(self.parts.pair(left, right)), "", *buttons]

    def _side(self, side: str, version: int, seeds: Sequence[int]) -> list[dict[str, Any]]:
        drawer = self.shown.exhibit(version).drawer
        items = _items(Drawn(drawer, drawer.sample(np.array(seeds, np.int64))), 64)
        return [{**item, "alt": f"{side} {i}"} for i, item in enumerate(items, start=1)]

    @_told
    def vote(self, choice: str, ballot: Ballot | None) -> list[Any]:
        """Keep a vote, and tell which side was which, and how the votes stand.

        Raises:
            UserError: There are no samples to vote on yet.
        """
        gr = _gradio()
        if ballot is None:
            raise UserError(f"there are no {self.samples} to vote on yet: Show {self.samples}")
        if not self.shown.cast(ballot, choice):
            gr.Info(f"This pair has your vote already: Show {self.samples} brings new ones.")
        one, other = sorted((ballot.left, ballot.right), key=lambda side: side.version, reverse=True)
        verdict = self.parts.verdict(ballot, choice, one.version, other.version, self.shown.tally(one, other))
        return [str(verdict), *[gr.Button(interactive=False)] * 3]

    def _exhibit(self, version: int | None) -> Exhibit:
        if version is None:
            raise UserError("no version is shown yet: load the page again")
        return self.shown.exhibit(version)


def _surprise() -> int:
    return secrets.randbelow(SURPRISES)


def _chosen(label: int | None) -> int | None:
    return None if label is None or label == IN_TURN else int(label)


def _items(drawn: Drawn, width: int) -> list[dict[str, Any]]:
    """Each sample as the page shows it: a text as it is; a film, which moves; of others the still, of a sound its file.

    A picture has `width` pixels at least, with a player beneath it `PLAYER`.
    """
    spec = drawn.drawer.spec
    if spec.kind == "text":
        return [{"text": text} for text in drawn.texts]
    if spec.kind == "video":
        return [_sized(src, spec.shape[-2:], width) | {"sound": None} for src in drawn.files]
    pairs = zip(drawn.stills, drawn.files, strict=True)
    return [_picture(still, max(width, PLAYER) if sound else width) | {"sound": sound} for still, sound in pairs]


def _picture(image: NDArray[np.uint8], width: int) -> dict[str, Any]:
    """A picture [C, H, W] for the page."""
    return _sized(embedded("image/png", pictures.to_bytes(pictures.picture(image))), image.shape[1:], width)


def _sized(src: str | None, size: Sequence[int], width: int) -> dict[str, Any]:
    """A picture of (height, width) for the page: its pixels as they are, a small one larger by a whole factor."""
    height, own = size
    return {"src": src, "width": own, "height": height, "factor": max(1, -(-width // own))}
