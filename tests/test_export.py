"""The proxy plays in step with the frames; exported clips give back what went in."""

import io

import av
import numpy as np
import pytest
import torch
from clips import encode, numbered, numbers
from patchlens.export import write_mp4
from patchlens.video import read


@pytest.mark.parametrize(("fps", "rotation"), [(25, 0), (60, 0), (25, 90)])
def test_the_proxy_plays_in_step_with_the_sampled_frames(tmp_path, fps, rotation):
    path = encode(tmp_path / f"proxy{fps}{rotation}.mp4", numbered(60, 97 - 1, 162), fps=fps, rotation=rotation)
    clip = read(path, frames=8, proxy=True)
    with av.open(io.BytesIO(clip.proxy)) as container:
        decoded = list(container.decode(video=0))
        played = [(float(f.time), f.to_ndarray(format="rgb24"), f.pict_type, f.format.name) for f in decoded]
    assert len(played) <= (60 / fps) * 31 + 8
    assert all(x.shape[0] % 2 == 0 and x.shape[1] % 2 == 0 and layout == "yuv420p" for _, x, _, layout in played)
    assert 3 not in {kind for *_, kind, _ in played}  # no B-pictures
    starts = [time for time, _, kind, _ in played if kind == 1]
    assert max(np.diff(starts), default=0) <= 13 / 25
    for time, frame in zip((clip.times - clip.times[0]).tolist(), clip.frames, strict=True):
        shown = [x for t, x, *_ in played if t <= time + 1e-3][-1]
        height, width = shown.shape[:2]
        assert np.abs(shown.astype(int) - frame.numpy()[:height, :width]).mean() < 12


def test_write_mp4_gives_back_what_went_in(tmp_path):
    frames = numbered(9, 95, 161)
    assert write_mp4(tmp_path / "out.mp4", torch.from_numpy(frames), fps=10) == 9
    clip = read(tmp_path / "out.mp4", frames=None)
    assert numbers(clip) == list(range(9)) and clip.source.size_hw == (96, 162)
    assert clip.times.tolist() == pytest.approx([n / 10 for n in range(9)])
    buffer = io.BytesIO()
    write_mp4(buffer, frames[:, :2, :2], fps=10)
    assert len(buffer.getvalue()) > 100
    with pytest.raises(ValueError, match="no frames"):
        write_mp4(tmp_path / "none.mp4", [])
    with pytest.raises(ValueError, match="uint8"):
        write_mp4(tmp_path / "float.mp4", np.zeros((2, 4, 4, 3)))
