"""Pictures of a decision: one overlaid frame, the contact sheet of all tubelets (PNG), the overlay video (MP4).

The same look as the viewer's: kept patches are clear and edged, dropped ones dimmed and hatched.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from patchlens.keep import covered
from patchlens.types import Trace
from patchlens.views.player import display_rect

EDGE = (53, 220, 200)
DIM = np.array((10, 14, 22), dtype=np.float32)
DIMMED = 0.64  # share of DIM over a dropped patch
HATCHED = 0.34  # share of white in a hatch line
GAP = 7  # pixels between hatch lines


def overlay(picture: np.ndarray, mask: np.ndarray, rect: list[float], grid_lines: bool = True) -> np.ndarray:
    """Draw a tubelet's decision over a picture.

    picture uint8 RGB (H, W, 3); mask bool (h, w), True = kept; rect: what the encoder saw, in the picture's pixels.
    Returns a new picture of the same size.
    """
    height, width = picture.shape[:2]
    columns, inside_x = _cells(width, rect[0], rect[2], mask.shape[1])
    rows, inside_y = _cells(height, rect[1], rect[3], mask.shape[0])
    kept = mask[rows[:, None], columns[None, :]]
    seen = inside_y[:, None] & inside_x[None, :]
    out = picture.astype(np.float32)
    dropped = seen & ~kept
    out[dropped] += (DIM - out[dropped]) * DIMMED
    stripes = (np.arange(height)[:, None] + np.arange(width)[None, :]) % GAP == 0
    out[dropped & stripes] += (255 - out[dropped & stripes]) * HATCHED
    out[~seen] += (DIM - out[~seen]) * 0.82
    if grid_lines:
        _lines(out, seen, rows, columns)
    _edges(out, kept & seen)
    return out.clip(0, 255).astype(np.uint8)


def _cells(size: int, start: float, end: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """For every pixel of an axis its cell (clamped), and whether it lies in the encoder's view."""
    place = (np.arange(size) + 0.5 - start) / (end - start) * count
    return place.astype(int).clip(0, count - 1), (place >= 0) & (place < count)


def _lines(out: np.ndarray, seen: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> None:
    across = np.diff(rows, prepend=rows[0]) > 0
    down = np.diff(columns, prepend=columns[0]) > 0
    line = (across[:, None] | down[None, :]) & seen
    out[line] += (255 - out[line]) * 0.18


def _edges(out: np.ndarray, kept: np.ndarray) -> None:
    """A dark and a bright line inside the rim of what is kept."""
    import cv2

    inner = cv2.erode(kept.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0).astype(bool)
    deeper = cv2.erode(inner.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0).astype(bool)
    out[kept & ~inner] = EDGE
    out[inner & ~deeper] *= 0.6


def tubelet_frame(trace: Trace, t: int, width: int | None = None) -> np.ndarray:
    """The overlaid first picture of tubelet t, uint8 RGB, at display size or `width` pixels wide.

    A small one is scaled before it is drawn on, so that edges and hatching stay sharp.
    """
    import cv2

    picture = trace.clip.display[int(trace.frame_index[t * trace.grid.tubelet])].numpy()
    zoom = (width or picture.shape[1]) / picture.shape[1]
    if zoom != 1:
        size = (width, max(1, round(picture.shape[0] * zoom)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    rect = [edge * zoom for edge in display_rect(trace)]
    return overlay(picture, trace.grid.volume(covered(trace.keep))[t].numpy(), rect, grid_lines=zoom == 1)


def contact_sheet(trace: Trace, width: int = 1280) -> np.ndarray:
    """All tubelets in reading order with time and tokens kept, uint8 RGB, about `width` pixels wide."""
    import cv2

    grid = trace.grid
    columns = min(grid.t, 4 if grid.t <= 16 else 8)
    cell_w = (width - 12) // columns - 12
    height, source_w = trace.clip.display.shape[1:3]
    cell_h = max(1, round(cell_w * height / source_w))
    rows = -(-grid.t // columns)
    sheet = np.full((12 + rows * (cell_h + 38), 12 + columns * (cell_w + 12), 3), 255, np.uint8)
    for t in range(grid.t):
        x, y = 12 + t % columns * (cell_w + 12), 12 + t // columns * (cell_h + 38)
        sheet[y : y + cell_h, x : x + cell_w] = tubelet_frame(trace, t, cell_w)
        cv2.putText(
            sheet, caption(trace, t), (x, y + cell_h + 19), cv2.FONT_HERSHEY_SIMPLEX, 0.48, (40, 46, 56), 1, cv2.LINE_AA
        )
    return sheet


def caption(trace: Trace, t: int) -> str:
    """Time and tokens kept of tubelet t, in plain ASCII (OpenCV's fonts know no more)."""
    time = float(trace.clip.times[int(trace.frame_index[t * trace.grid.tubelet])])
    return f"{time:.2f} s   {trace.keep.per_frame[t]} of {trace.grid.per_frame} kept"


def save_png(trace: Trace, path: str | Path) -> None:
    """Write the contact sheet."""
    Path(path).write_bytes(png(contact_sheet(trace)))


def png(picture: np.ndarray) -> bytes:
    """A uint8 RGB picture as PNG."""
    import cv2

    done, data = cv2.imencode(".png", picture[..., ::-1])
    if not done:
        raise ValueError(f"A picture of shape {picture.shape} could not be written as PNG.")
    return data.tobytes()


def save_mp4(trace: Trace, path: str | Path, check: Callable[[], None] = lambda: None) -> None:
    """Write the overlay video: the clip's playable copy at its own rate where it has one, else the sampled frames.

    `check` is called before each frame, and may raise to stop.
    """
    from patchlens.export import write_mp4

    frames, fps = proxy_frames(trace) if trace.clip.proxy else sampled_frames(trace)
    write_mp4(path, _checked(frames, check), fps=fps)


def _checked(frames: Iterator[np.ndarray], check: Callable[[], None]) -> Iterator[np.ndarray]:
    for frame in frames:
        check()
        yield frame


def sampled_frames(trace: Trace) -> tuple[Iterator[np.ndarray], float]:
    """The sampled display pictures, overlaid, and their mean rate."""
    grid, times = trace.grid, trace.clip.times[trace.frame_index]
    mask, rect = grid.volume(covered(trace.keep)).numpy(), display_rect(trace)
    span = float(times[-1] - times[0])
    fps = (len(times) - 1) / span if span > 0 else 1.0
    pictures = (trace.clip.display[i].numpy() for i in trace.frame_index.tolist())
    return (overlay(p, mask[f // grid.tubelet], rect) for f, p in enumerate(pictures)), fps


def proxy_frames(trace: Trace) -> tuple[Iterator[np.ndarray], float]:
    """Every frame of the playable copy under the mask of the sampled frame nearest in time, and the copy's mean rate."""
    import av

    with av.open(io.BytesIO(trace.clip.proxy)) as video:
        stream = video.streams.video[0]
        fps = float(stream.average_rate or 25)
    return _proxy_overlays(trace), fps


def _proxy_overlays(trace: Trace) -> Iterator[np.ndarray]:
    import av

    grid, clip = trace.grid, trace.clip
    mask = grid.volume(covered(trace.keep)).numpy()
    sampled = (clip.times[trace.frame_index] - clip.times[0]).numpy()
    height, width = clip.display.shape[1:3]
    with av.open(io.BytesIO(clip.proxy)) as video:
        for frame in video.decode(video=0):
            nearest = int(np.abs(sampled - float(frame.time or 0)).argmin())
            picture = frame.to_ndarray(format="rgb24")
            scale = (picture.shape[1] / width, picture.shape[0] / height) * 2
            rect = [edge * s for edge, s in zip(display_rect(trace), scale, strict=True)]
            yield overlay(picture, mask[nearest // grid.tubelet], rect)
