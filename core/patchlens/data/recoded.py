"""The same frames behind a codec: encoded at a bit rate with PyAV and decoded again. Knows x264, x265 and VP9."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np

CODECS: dict[str, tuple[str, str, dict[str, str]]] = {  # name: encoder, container, options
    "x264": ("libx264", "mp4", {"preset": "medium"}),
    "x265": ("libx265", "mp4", {"preset": "medium", "x265-params": "log-level=none:pools=none:frame-threads=1"}),
    "vp9": ("libvpx-vp9", "webm", {"deadline": "good", "cpu-used": "4", "row-mt": "0"}),
}


@dataclass(frozen=True, eq=False)
class Recoded:
    """What came back, uint8 (T, H, W, 3), the kbit/s that it really took, and its PSNR to the frames that went in, dB."""

    frames: np.ndarray
    kbits: float
    psnr: float


def check_codecs(names: Sequence[str]) -> None:
    """Raises ValueError for a codec that is not known, or that this build of PyAV cannot write."""
    for name in names:
        if name not in CODECS:
            raise ValueError(f"The codec is {name!r}; choose one of {', '.join(CODECS)}.")
        try:
            av.codec.Codec(CODECS[name][0], "w")
        except ValueError:
            raise ValueError(f"This build of PyAV cannot write {name} ({CODECS[name][0]}); leave it out.") from None


def recoded(frames: np.ndarray, codec: str, kbits: float, fps: float) -> Recoded:
    """Frames uint8 (T, H, W, 3) of even sides through a codec at `kbits` kbit/s, 4:2:0, one pass.

    Raises ValueError for an unknown codec, and where not every frame comes back.
    """
    check_codecs([codec])
    encoder, container, options = CODECS[codec]
    file = io.BytesIO()
    with av.open(file, "w", format=container) as sink:
        stream = sink.add_stream(encoder, rate=Fraction(fps).limit_denominator(1001), options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt, stream.bit_rate = "yuv420p", round(1000 * kbits)
        stream.codec_context.thread_count = 1  # the same bytes on every machine
        size = sum(_written(sink, stream, _picture(x)) for x in frames) + _written(sink, stream, None)
    file.seek(0)
    with av.open(file) as source:
        back = [_rgb(x) for x in source.decode(video=0)]
    if len(back) != len(frames):
        raise ValueError(f"{codec} at {kbits:g} kbit/s gave {len(back)} of {len(frames)} frames back; give a higher rate.")
    out = np.stack(back)
    error = float(np.mean((out.astype(np.float32) - frames) ** 2))
    return Recoded(out, 8 * size * fps / len(frames) / 1000, 10 * float(np.log10(255**2 / max(error, 1e-9))))


def _written(sink: Any, stream: Any, picture: Any) -> int:
    """Bytes of the packets that a picture (None: the end) makes."""
    size = 0
    for packet in stream.encode(picture):
        size += packet.size
        sink.mux(packet)
    return size


def _picture(frame: np.ndarray) -> Any:
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")
    return picture.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")


def _rgb(picture: Any) -> np.ndarray:
    """Read as it was written, whatever a container says of its colours."""
    out = picture.reformat(format="rgb24", src_colorspace="ITU709", src_color_range="MPEG", dst_color_range="JPEG")
    return out.to_ndarray()
