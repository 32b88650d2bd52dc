"""The named endpoints as a program calls them through gradio_client."""

from __future__ import annotations

import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from patchlens.encoders.catalog import CATALOG, on_disk
from patchlens.export import write_mp4
from traces import moving_square

NAMES = {"/analyze", "/compare", "/export", "/judge", "/ground", "/thumbnails", "/clips", "/samples", "/encoders",
         "/selectors"}  # fmt: skip
SCHEDULE = {"video": None, "encoder": "tiny-clip", "selector": "residualvit:n=2,p=0.85", "frames": 7}
needs_weights = pytest.mark.skipif(not on_disk(CATALOG["tiny-video"]), reason="tiny-video's weights are not there")


@pytest.fixture(scope="module")
def client(app_url: str) -> Client:
    return Client(app_url, verbose=False)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("clips") / "square.mp4"
    write_mp4(path, moving_square(40, 120, 160), fps=10)
    return handle_file(str(path))


def test_every_endpoint_is_named_and_says_what_it_takes(client: Client) -> None:
    found = client.view_api(return_format="dict")["named_endpoints"]
    assert set(found) == NAMES
    assert [p["parameter_name"] for p in found["/thumbnails"]["parameters"]] == ["video"]
    assert {"encoder", "selector", "span", "seed"} <= {p["parameter_name"] for p in found["/analyze"]["parameters"]}


def test_what_there_is_to_choose_from(client: Client) -> None:
    assert {"static camera", "pan"} <= {s["name"] for s in client.predict(api_name="/samples")}
    assert "tiny-video" in {e["name"] for e in client.predict(api_name="/encoders")}
    assert {"rlt", "random"} <= {s["name"] for s in client.predict(api_name="/selectors")}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"encoder": "no-such-model"}, "no encoder"),
        ({"selector": "rlt:taw=1"}, "not a knob"),
        ({"span": "5:2"}, "span"),
        ({"sample": "nope"}, "no sample named"),
        ({"sample": ""}, "either a video or the name of a sample"),
        ({"frames": 0}, "whole number"),
    ],
)
def test_a_bad_call_is_one_sentence(client: Client, change: dict[str, Any], words: str) -> None:
    with pytest.raises(AppError, match=words) as refused:
        client.predict(**{"video": None, "sample": "pan", **change}, api_name="/analyze")
    assert "Traceback" not in str(refused.value)


@needs_weights
def test_analyze(client: Client, clip: Any) -> None:
    first, second = (client.predict(video=clip, span="1:3", api_name="/analyze") for _ in range(2))
    assert first.pop("timing_s") and second.pop("timing_s")
    assert first == second and first["version"] == 1 and first["tokens"]["total"] == 512
    assert first["clip"]["span"] == [1, 3] and 1 <= first["clip"]["times"][0] < 3


@needs_weights
def test_compare(client: Client) -> None:
    made = client.predict(video=None, sample="pan", plans="rlt:tau=0.1\nrandom:keep=0.3", api_name="/compare")
    assert [r["plan"] for r in made["reports"]] == ["rlt:tau=0.1", "random:keep=0.3"]
    (pair,) = made["agreement"]
    kept = [r["tokens"]["kept"] for r in made["reports"]]
    assert [pair["both"] + pair["only_first"], pair["both"] + pair["only_second"]] == kept
    with pytest.raises(AppError, match="give 2 to 4"):
        client.predict(video=None, sample="pan", plans="rlt", api_name="/compare")


@needs_weights
@pytest.mark.parametrize(("kind", "begins"), [("npz", b"PK"), ("json", b"{"), ("png", b"\x89PNG")])
def test_export(client: Client, kind: str, begins: bytes) -> None:
    path = Path(client.predict(video=None, sample="pan", selector="rlt:tau=0.2", kind=kind, api_name="/export"))
    assert path.read_bytes().startswith(begins) and path.suffix == f".{kind}"
    if kind == "npz":
        assert {"mask.npy", "scores.npy", "run_length.npy"} == set(zipfile.ZipFile(path).namelist())


@needs_weights
def test_judge(client: Client) -> None:
    plan = "chosen:tokens=0-99"
    found = client.predict(video=None, sample="pan", selector=plan, question="rivals", api_name="/judge")
    assert found["yours"]["plan"] == plan and found["kept"] == 100
    blocks = client.predict(video=None, sample="pan", selector="oracle:keep=0.3", question="blocks", api_name="/judge")
    assert blocks["blocks"] == 6 and blocks["auto"]["gradient"] == "own" and len(blocks["accuracy"]) == 29
    found = client.predict(**SCHEDULE, sample="pan", question="residual", api_name="/judge")
    assert found["token"] == "on" and len(found["with"]) == len(found["without"]) == 7
    found = client.predict(video=None, sample="pan", selector="uniform", question="holding", api_name="/judge")
    assert set(found["orders"]) == {"oracle", "uniform"} and len(found["random"]["value"]) == len(found["shares"])
    with pytest.raises(AppError, match="faithfulness, rivals, blocks, residual, holding"):
        client.predict(video=None, sample="pan", selector=plan, question="weather", api_name="/judge")


@needs_weights
def test_clips(client: Client) -> None:
    found = client.predict(api_name="/clips")
    assert found["encoder"] == "tiny-video" and "pan" in {clip["clip"] for clip in found["clips"]}


@needs_weights
def test_ground(client: Client) -> None:
    found = client.predict(**SCHEDULE, sample="pan", sentence="a blue box", api_name="/ground")
    assert len(found["times"]) == len(found["full"]["similarities"]) == len(found["plan"]["similarities"]) == 7
    assert all(m["start"] <= m["end"] for way in ("full", "plan") for m in found[way]["moments"])
    with pytest.raises(AppError, match="'dog'"):
        client.predict(**SCHEDULE, sample="pan", sentence="a dog", api_name="/ground")


def test_thumbnails(client: Client, clip: Any) -> None:
    seen = client.predict(video=clip, api_name="/thumbnails")
    assert seen["start"] == 0 and 3.9 <= seen["end"] <= 4 and len(seen["sha256"]) == 64
    assert 8 <= len(seen["thumbs"]) <= 24 and seen["thumbs"][0][1].startswith("data:image/jpeg;base64,")


def test_the_server_fetches_no_address(app_url: str) -> None:
    for route in ("file=http://127.0.0.1:1/x", "file=https%3A//example.org/x", "proxy=http://127.0.0.1:1/x"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{app_url}/gradio_api/{route}", timeout=10)
        assert refused.value.code == 403
