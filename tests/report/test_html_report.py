"""The report of a fit, through the command: one file that needs nothing else, and commands that make the fit again."""

import base64
import html.parser
import json
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

from simsnn_ref import Box, FieldInfo, Grid, Scatter, fit, load_model
from simsnn_ref.commands.main import main
from simsnn_ref.io.field_info import Axis, Scalar
from simsnn_ref.model import FitConfig
from simsnn_ref.report import TrainingData, html_report
from simsnn_ref.report.markup import element, join
from simsnn_ref.report.page import POLICY
from simsnn_ref.report.rerun import changed_options

OPTIONS = {"mode": "paper", "steps": (40,), "stages": 1, "hidden": (5, 4), "n_features": (8,), "learning_rate": 1e-2}
FLAGS = [
    "--mode",
    "paper",
    "--learning-rate",
    "1e-2",
    "--steps",
    "40",
    "--stages",
    "2",
    "--hidden",
    "5,4",
    "--no-figure",
]
EVIL = "<script>alert('1')</script>\"&\x1b\u202e\x00"

VOID = {"meta", "img"}


class Page(html.parser.HTMLParser):
    """The elements of a page, with their text; unbalanced tags are an error."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.elements = [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs)
        self.elements.append([tag, dict(attrs), ""])
        if tag not in VOID:
            self.open.append(self.elements[-1])

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        for one in self.open:
            one[2] += data

    def all(self, tag):
        return [(attributes, text) for name, attributes, text in self.elements if name == tag]


def check_page(text):
    """What every report has to be; the page."""
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    page = Page(text)
    tags = {name for name, *_ in page.elements}
    assert not tags & {"script", "link", "iframe", "object", "embed", "base", "form", "a", "svg"}
    assert page.all("meta")[0][0]["charset"] == "utf-8"
    assert {"http-equiv": "Content-Security-Policy", "content": POLICY} in [
        attributes for attributes, _ in page.all("meta")
    ]
    assert len(page.all("h1")) == len(page.all("title")) == len(page.all("main")) == 1
    for name, attributes, _ in page.elements:
        assert not any(key.startswith("on") for key in attributes)
        assert not {"href", "srcset", "action"} & set(attributes)
        if name == "img":
            assert attributes["src"].startswith(("data:image/svg+xml;base64,", "data:image/png;base64,"))
            assert len(attributes["alt"]) > 20
        if name == "th":
            assert attributes["scope"] in {"col", "row"}
    style = page.all("style")[0][1]
    assert "url(" not in style
    assert "@import" not in style
    assert len(page.all("caption")) == len(page.all("table")) > 4
    assert all(c.isprintable() or c == "\n" for c in text)
    return page


def field():
    x = np.arange(12) / 12 * 2 * np.pi
    return np.exp(np.sin(x))[:, None] * np.cos(x + 0.3)


def report(capsys, *argv):
    status = main(["report", *map(str, argv)])
    return status, *capsys.readouterr()


@pytest.fixture(autouse=True)
def in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_report_of_a_model_alone(capsys):
    model = fit(field(), **OPTIONS)
    model.save("m.safetensors")
    status, out, err = report(capsys, "m.safetensors")
    assert (status, err) == (0, "")
    assert out.startswith("report: m.html (")
    text = Path("m.html").read_text("utf-8")
    assert len(text) < 2**19
    page = check_page(text)
    headings = [text for _, text in page.all("h2")]
    assert headings == [
        *("What was fitted", "Errors", "Stages", "Figures", "Notes"),
        *("Use it, and make it again", "Options", "Where it came from"),
    ]
    record = model.history.stages[-1]
    for value in (record.rms_on_grid, record.max_off_grid, model.history.certified["rms_off_grid"]):
        assert f"{value:.2e}" in text
    assert np.__version__ in text
    changed = [text for attributes, text in page.all("th") if text in OPTIONS and attributes["scope"] == "row"]
    # Those that were changed, then those of all.
    assert set(changed[: len(OPTIONS)]) == set(OPTIONS)
    assert len(changed) == 2 * len(OPTIONS)
    assert len(page.all("img")) == 2
    assert html_report(load_model("m.safetensors"), "m.safetensors") == text


@pytest.mark.parametrize("kind", ["samples", "holdout", "scattered", "function"])
def test_its_command_and_its_program_make_the_same_model(kind, capsys, monkeypatch):
    if kind != "samples":  # figures take their time
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    rng = np.random.default_rng(2)
    given = {
        "samples": ["u.npy", "--box", "-1", "3.5", "0", "1"],
        "holdout": ["u.npy", "--periodic", "true,false"],
        "scattered": ["points.npy", "--values", "values.npy", "--box", "-1.5", "1", "-1", "1"],
        "function": ["--example", "logcos", "--size", "24"],
    }[kind]
    more = ["--off-grid", "holdout"] if kind == "holdout" else ["--n-features", "8", "--no-certify"]
    u = field()
    points = rng.uniform(-1, 1, (60, 2))
    values = np.sin(points @ [1.0, 2.0])
    for name, array in {"u": u, "points": points, "values": values}.items():
        np.save(f"{name}.npy", array)
    assert main(["fit", *given, *FLAGS, *more, "-o", "m.safetensors"]) == 0
    capsys.readouterr()
    status, out, err = report(capsys, "m.safetensors", *given, "--json")
    assert status == 0, err
    content = json.loads(out)
    assert content == {"report": "m.html", "bytes": Path("m.html").stat().st_size, "figures": kind == "samples"}
    page = check_page(Path("m.html").read_text("utf-8"))
    if kind == "samples":
        image = page.all("img")[2][0]["src"]
        assert base64.b64decode(image.partition(",")[2]).startswith(b"\x89PNG")
    # Without the model's own claim: from its parameters and the data.
    anew = next(text for _, text in page.all("tr") if text.startswith("RMS at the samples"))
    claimed = f"{load_model('m.safetensors').history.stages[-1].rms_on_grid:.2e}"
    assert anew.count(claimed) >= 2

    first = load_model("m.safetensors")
    commands, program = [text for _, text in page.all("code") if "\n" in text]
    fit_again, predict = map(shlex.split, commands.splitlines())
    assert fit_again[:2] == ["simsnn", "fit"]
    Path("m.safetensors").rename("first.safetensors")
    assert main([*fit_again[1:], "--no-figure"]) == 0
    np.save("POINTS.npy", np.zeros((1, first.grid.ndim)) + 0.25)
    assert main(predict[1:]) == 0
    # Within the box of every second sample too.
    place = {"u": values if kind == "scattered" else u, "places": points, "points": 0.8 * points}
    if kind == "function":
        from simsnn_ref.problems import get_problem

        place |= {"u": get_problem("logcos").target, "points": np.zeros((1, 1))}
    if kind == "holdout":
        place["grid"] = Grid(u.shape, periodic=(True, False))
    exec(program, place)  # a program of ours, in a report on a model of ours
    for again in (load_model("m.safetensors"), place["again"]):
        for mine, theirs in zip(again.stages, first.stages, strict=True):
            assert all(np.array_equal(mine.params[name], theirs.params[name]) for name in theirs.params)


def test_text_of_a_file_is_text(capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # nothing of it is in a figure
    info = FieldInfo(
        EVIL,
        (Axis("x", {"units": "</td><script>"}), Axis("y&", {"long_name": ["<b>", EVIL]})),
        {"units": EVIL, "levels": [1, 2]},
        (Scalar("time", "<i>now</i>"),),
        {"title": "<img src=http://example.com onerror=alert(1)>"},
    )
    fit(field(), Grid((12, 12)), field=info, **OPTIONS).save("m<i>.safetensors")
    assert report(capsys, "m<i>.safetensors", "-o", "m.html")[0] == 0
    text = Path("m.html").read_text("utf-8")
    page = check_page(text)
    assert not {name for name, *_ in page.elements} & {"script", "b", "i"}
    shown = EVIL[:-3] + "\ufffd" * 3
    assert page.all("h1")[0][1] == f"Fit of {shown}"
    assert page.all("title")[0][1] == f"Fit of {shown}"
    cells = [text for _, text in page.all("td")]
    assert shown in cells
    assert f"<b>, {shown}" in cells
    assert "1, 2" in cells
    assert "<img src=http://example.com onerror=alert(1)>" in cells


def test_markup():
    assert element("p", "a<b", element("b", "&"), "\ud800", class_='"x"') == (
        '<p class="&quot;x&quot;">a&lt;b<b>&amp;</b>\ufffd</p>'
    )
    assert element("meta", name="a", http_equiv="b") == '<meta name="a" http-equiv="b">'
    assert join("<", element("i")) == "&lt;<i></i>"


@pytest.mark.parametrize("values", [np.zeros((6, 6)), np.full((6, 6), -3.0)], ids=["zero", "constant"])
def test_fields_that_need_no_training(values):
    model = fit(values)
    page = check_page(html_report(model, "m.safetensors", figures=not values.any()))
    anew = check_page(html_report(model, "m.safetensors", TrainingData(values, ["u.npy"]), figures=False))
    assert "largest at the samples0.00e+000.00e+000.00e+00" in [text for _, text in anew.all("tr")]
    assert "Notes" in [text for _, text in page.all("h2")]
    assert "All are the defaults." in [text for _, text in page.all("p")]


def test_what_was_not_measured_is_said():
    u = np.exp(np.linspace(0, 1, 20))
    model = fit(u, Grid((20,), periodic=False), certify=False, off_grid="none", **OPTIONS)
    text = html_report(model, "m.safetensors", figures=False)
    assert "not measured" in text
    assert "were not certified" in text


def test_without_matplotlib(capsys, monkeypatch):
    fit(field(), **OPTIONS).save("m.safetensors")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    status, _, err = report(capsys, "m.safetensors")
    assert status == 0
    assert "pip install 'simsnn-ref[plot]'" in err
    page = check_page(Path("m.html").read_text("utf-8"))
    assert not page.all("img")
    assert "None: they need matplotlib." in [text for _, text in page.all("p")]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["none.safetensors"], "none.safetensors: cannot be read"),
        (["m.safetensors", "-o", "no/r.html"], "folder no does not exist"),
        (["m.safetensors", "-o", "m.safetensors"], "the model is in this file; name another one"),
        (["m.safetensors", "other.npy"], "data: their RMS is"),
        (["m.safetensors", "u.npy", "--box", "0", "1", "0", "1"], "but the model was fitted on Grid"),
        (["m.safetensors", "u.npy", "--example", "ug"], "INPUT u.npy and --example ug: give one of them"),
        (["s.safetensors", "u.npy"], "but the model was fitted on 36 scattered points"),
        (["s.safetensors", "other_points.npy", "--values", "v.npy"], "points: the model was fitted to others"),
    ],
)
def test_bad_input(argv, message, capsys):
    points = np.random.default_rng(0).uniform(-1, 1, (40, 1))
    np.save("u.npy", field())
    np.save("other.npy", 1.01 * field())
    np.save("other_points.npy", points[::-1] * 0.5)
    np.save("v.npy", points[:, 0])
    fit(field(), **OPTIONS).save("m.safetensors")
    fit(points[:, 0], Scatter(points, Box((-1.0,), (1.0,))), **OPTIONS).save("s.safetensors")
    before = Path("m.safetensors").read_bytes()
    status, out, err = report(capsys, *argv)
    assert (status, out) == (2, "")
    assert err.startswith("simsnn: error: ")
    assert message in err
    assert len(err.splitlines()) == 1
    assert Path("m.safetensors").read_bytes() == before
    assert not list(Path().glob("*.html"))


def test_changed_options():
    assert changed_options(FitConfig()) == changed_options(FitConfig().resolved()) == ()
    assert changed_options(FitConfig.of(optimizer="adam")) == ("optimizer",)
    assert changed_options(FitConfig.of(mode="paper", p=4.0).resolved()) == ("mode", "p")
    assert changed_options(FitConfig.of(mode="paper", p=10.0)) == ("mode",)
