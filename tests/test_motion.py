"""Motion per block: from the codec's vectors or optical flow, accumulated, upright and in its place."""

import numpy as np
import pytest
import torch
from clips import encode, moving
from patchlens.motion import flow_maps, pooled
from patchlens.video import read, windows


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("clips")


@pytest.mark.parametrize(
    ("codec", "kind", "options"),
    [
        ("libx264", "mp4", {"bf": "0"}),
        ("libx264", "mp4", {"bf": "3", "g": "12"}),
        ("mpeg2video", "mpg", {"bf": "2", "g": "12", "b": "4000000"}),
        ("mpeg4", "avi", {"bf": "2", "g": "12", "b": "4000000"}),
    ],
)
@pytest.mark.parametrize("count", [None, 10])
def test_codec_vectors_measure_a_slide_of_four_pixels_a_frame(folder, codec, kind, options, count):
    path = folder / f"slide{codec}{options['bf']}.{kind}"
    if not path.exists():
        encode(path, moving(40, dx=4), codec=codec, options=options)
    clip = read(path, frames=count, motion=True)
    assert clip.motion.kind == "codec vectors"
    values = clip.motion.values
    assert values.shape == (len(clip.frames), 12, 16) and values.dtype == torch.float32
    passed = clip.times.diff() * 25  # frames since the sampled one before
    speed = values[1:].flatten(1).median(1).values / passed
    assert float(speed.median()) == pytest.approx(4, abs=0.3)
    assert torch.equal(values[0], values[1])
    ways = clip.motion.flow
    assert ways.shape == (*values.shape, 2) and ways.dtype == torch.float32
    assert float((ways[1:, ..., 0].flatten(1).median(1).values / passed).median()) == pytest.approx(-4, abs=0.3)
    assert float(ways[1:, ..., 1].abs().median()) < 0.3, "it slides to the left, neither up nor down"
    assert (ways.norm(dim=-1) <= values * 1.0001 + 1e-4).all(), "no way is longer than its length"


def test_where_the_codec_has_no_vectors_flow_measures_it(folder):
    path = encode(folder / "slide.webm", moving(20, dx=3), codec="libvpx", options={"b": "2000000"})
    clip = read(path, frames=None, motion=True, size=(32, 32))
    assert clip.motion.kind == "DIS flow"
    assert float(clip.motion.values[1:].median()) == pytest.approx(3, abs=0.4)
    assert torch.equal(clip.motion.values[0], clip.motion.values[1])
    assert clip.motion.flow[1:].flatten(0, 2).median(0).values.tolist() == pytest.approx([-3, 0], abs=0.4)


@pytest.mark.parametrize(("rotation", "way"), [(0, (-8, 0)), (90, (0, 8)), (180, (8, 0)), (270, (0, -8))])
def test_ways_turn_with_the_picture_and_agree_with_optical_flow(folder, rotation, way):
    path = encode(folder / f"way{rotation}.mp4", moving(24, dx=4), rotation=rotation, options={"bf": "0"})
    clip = read(path, frames=10, motion=True)
    _, seen = flow_maps(list(clip.display.numpy()), clip.source.size_hw)
    for ways in (clip.motion.flow, torch.from_numpy(seen)):
        middle = ways[2:-1].flatten(0, 2).median(0).values.tolist()
        assert middle == pytest.approx(way, abs=0.5)


def test_what_comes_and_goes_has_length_and_no_way(folder):
    there = moving(5, dx=4)
    path = encode(folder / "swing.mp4", np.concatenate([there, there[::-1]] * 3), options={"bf": "0"})
    motion = read(path, frames=3, motion=True).motion
    assert float(motion.values[1:].median()) > 20 > 6 > float(motion.flow[1:].norm(dim=-1).median())


def test_pooling_averages_by_area_inside_the_rectangle():
    maps = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    whole = pooled(maps, (0, 0, 64, 48), (48, 64), (1, 1))
    assert whole.item() == pytest.approx(maps.mean())
    right = pooled(np.stack([maps, -maps], -1), (24, 0, 64, 16), (48, 64), (1, 1))
    assert right.ravel() == pytest.approx([(0.5 * 1 + 2 + 3) / 2.5, -(0.5 * 1 + 2 + 3) / 2.5])


def test_motion_is_upright_and_in_its_place(folder):
    frames = np.full((12, 96, 160, 3), 90, np.uint8)
    texture = moving(12, 4, 48, 48)
    frames[:, 48:, 112:] = texture  # the lower right corner moves
    for rotation, corner in ((0, (-1, -1)), (180, (0, 0)), (90, (0, -1)), (270, (-1, 0))):
        path = encode(folder / f"corner{rotation}.mp4", frames, rotation=rotation, options={"bf": "0"})
        clip = read(path, frames=4, motion=True)
        rows, cols = clip.motion.values.shape[1:]
        assert (rows, cols) == ((6, 10) if rotation % 180 == 0 else (10, 6))
        strongest = np.unravel_index(int(clip.motion.values.mean(0).argmax()), (rows, cols))
        middle = (strongest[0] >= rows / 2) - 1, (strongest[1] >= cols / 2) - 1  # -1: first half
        expected = tuple(0 if side == -1 else -1 for side in corner)
        assert middle == expected, (rotation, strongest)


@pytest.mark.parametrize("count", [1, 3, 8, 40])
def test_a_window_adds_up_the_pictures_around_each_frame(folder, count):
    path = encode(folder / f"window{count}.mp4", moving(count, dx=4), options={"bf": "0"})
    each, wide = (read(path, frames=None, motion=True, window=w).motion for w in (1, 11))
    if wide.kind != "codec vectors":
        return  # one picture has no vectors
    expected = torch.stack([each.values[max(0, t - 5) : t + 6].sum(0) for t in range(count)])
    torch.testing.assert_close(wide.values, expected, rtol=1e-4, atol=1e-4)
    middle = float(wide.values[count // 2].median())
    assert count < 40 or middle == pytest.approx(44, abs=3)


@pytest.mark.parametrize("codec", ["libx264", "libvpx"])
def test_windows_of_frames_bring_the_motion_of_one_reading(folder, codec):
    path = encode(folder / f"long.{'mp4' if codec == 'libx264' else 'webm'}", moving(50, dx=3), codec=codec)
    whole = read(path, frames=None, fps=5.0, motion=True, window=11)
    parts = list(windows(path, 4, 5.0, carry=0, motion=True, window=11))
    assert [len(p.frames) for p in parts] == [4, 4, 2] and {p.motion.kind for p in parts} == {whole.motion.kind}
    assert torch.equal(torch.cat([p.times for p in parts]), whole.times)
    made = torch.cat([p.motion.values for p in parts])
    if codec == "libx264":
        torch.testing.assert_close(made, whole.motion.values)
    assert sum(p.motion.seconds for p in parts) > 0
    with pytest.raises(ValueError, match="windows with motion repeat no frame"):
        list(windows(path, 4, 5.0, carry=1, motion=True))


def test_vectors_are_not_exported_while_a_frame_thread_still_finds_them(folder):
    """With threads by frame FFmpeg gave other vectors in one of about 50 pictures on a busy machine."""
    import av
    from patchlens.moved import vectors_of

    with av.open(str(encode(folder / "threads.mp4", moving(20, dx=3)))) as container:
        context = container.streams.video[0].codec_context
        context.thread_type = "AUTO"
        assert vectors_of(context, True, None) is not None
        assert context.thread_type.name == "SLICE" and context.options["flags2"] == "+export_mvs"
