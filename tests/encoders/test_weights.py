"""Weights files: formats, containers, folders, digests, and the sentence for what cannot be read."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from patchlens.encoders import weights as files
from safetensors.torch import save_file

STATE = {"a.weight": torch.ones(2, 3), "b": torch.arange(3)}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.bin", STATE),
        ("x.pt", {"state_dict": {f"module.{k}": v for k, v in STATE.items()}, "epoch": 3}),
        ("x.pth", {"model": {k: v.half() if v.is_floating_point() else v for k, v in STATE.items()}}),
        ("x.ckpt", {"module": STATE, "lr": 0.1}),
        ("x.safetensors", None),
    ],
)
def test_formats_and_containers_read_the_same(tmp_path: Path, name: str, content: object) -> None:
    path = tmp_path / name
    save_file(STATE, path) if content is None else torch.save(content, path)
    state = files.read(path)
    assert state.keys() == STATE.keys()
    assert all(torch.equal(state[k], STATE[k]) for k in STATE) and state["a.weight"].dtype == torch.float32


class Evil:
    """What a malicious pickle holds."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (eval, ("1/0",))


def test_pickles_with_code_are_refused_unrun(tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    torch.save({"w": torch.ones(1), "x": Evil()}, path)
    with pytest.raises(ValueError, match="more than tensors .*eval.*could run code; convert it to safetensors"):
        files.read(path)
    path.write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(ValueError, match="evil.pth"):
        files.read(path)


def test_broken_and_foreign_files_are_named(tmp_path: Path) -> None:
    for name, content in (("cut.safetensors", b"\x10\0\0\0\0\0\0\0{"), ("cut.bin", b"PK\3\4"), ("x.pt", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} cannot be read as weights"):
            files.read(tmp_path / name)
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ValueError, match="holds no tensors"):
        files.read(tmp_path / "list.pt")
    with pytest.raises(ValueError, match="x.txt is no weights file; known endings"):
        files.read(tmp_path / "x.txt")


def test_folders_give_their_weights_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds 0 weights files"):
        files.locate(tmp_path)
    (tmp_path / "mine.pth").touch()
    assert files.locate(tmp_path).name == "mine.pth"
    (tmp_path / "other.bin").touch()
    with pytest.raises(ValueError, match="holds 2 weights files; name one"):
        files.locate(tmp_path)
    (tmp_path / "model.safetensors").touch()
    assert files.locate(tmp_path).name == "model.safetensors"


def test_digests_are_read_off_the_caches_names_or_computed(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"abc")
    assert files.digest(tmp_path / "x.bin").startswith("ba7816bf8f01cfea")
    blob = tmp_path / ("ab" * 32)
    blob.write_bytes(b"large")
    (tmp_path / "model.bin").symlink_to(blob)
    assert files.digest(tmp_path / "model.bin") == "ab" * 32


def test_settings_are_a_json_object(tmp_path: Path) -> None:
    assert files.read_json(tmp_path / "absent.json") == {}
    for text, why in (("{", "is not JSON"), ("[1]", "holds a JSON list")):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ValueError, match=why):
            files.read_json(tmp_path / "config.json")
