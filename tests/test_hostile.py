"""Files that are no videos, or point at other files: one plain sentence each, and nothing else is touched."""

import os
import socket
import threading
from pathlib import Path

import pytest
from clips import encode, number_of, numbered, sound, written
from patchlens.limits import VideoError, plain_name
from patchlens.video import probe, read
from refusals import refused


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def plain(folder):
    return encode(folder / "plain.mp4", numbered(30), options={"g": "10"})


# plain refusals


def test_what_is_no_file_is_refused(folder):
    assert "missing.mp4 does not exist" in refused(folder / "missing.mp4")
    assert "not a plain file" in refused(folder)
    assert "is empty" in refused(written(folder / "empty.mp4", b""))
    os.mkfifo(folder / "pipe.mp4")
    assert "not a plain file" in refused(folder / "pipe.mp4")
    assert "not a plain file" in refused("/dev/zero")
    refused("a\0b.mp4")


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:9/x.mp4",
        "https://example.org/x.mp4",
        "rtsp://127.0.0.1/x",
        "file:///etc/hostname",
        "concat:a.mp4|b.mp4",
        "data:video/mp4;base64,AAAA",
        "subfile,,start,0,end,99,,:x.mp4",
        "cache:x.mp4",
    ],
)
def test_addresses_are_refused(address):
    assert "address" in refused(address) or "does not exist" in refused(address)


def test_files_without_video_are_refused(folder):
    assert "holds sound, no video" in refused(sound(folder / "sound.m4a"))
    box = b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x08moov"
    refused(written(folder / "hollow.mp4", box))
    contents = {"text.mp4": "just words\n" * 50, "page.mkv": "<html></html>", "noise.avi": os.urandom(9000)}
    for name, content in contents.items():
        assert f"{name} cannot be opened" in refused(written(folder / name, content))


NAMES = ["a b.mp4", "-rf.mp4", "%03d.mp4", "ü😀.mp4", "two:dots.mp4", "line\nbreak.mp4", "[x]*.mp4"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("isolate", [False, True])
def test_odd_names_are_only_names(folder, plain, name, isolate):
    path = written(folder / name, plain.read_bytes())
    assert number_of(read(path, frames=1, isolate=isolate).frames[0]) == 15
    assert "\n" not in plain_name(path)
    refused(written(folder / f"bad{name}", b"nothing"), isolate=isolate)


def test_a_name_that_is_no_unicode(folder, plain):
    path = os.fsencode(folder) + b"/\xff\xfe.mp4"
    Path(os.fsdecode(path)).write_bytes(plain.read_bytes())
    for isolate in (False, True):
        clip = read(os.fsdecode(path), frames=2, isolate=isolate)
        clip.source.name.encode()  # printable


# files that point at other files


def playlists(target):
    absolute, relative = str(target), target.name
    return {
        "list.mp4": f"ffconcat version 1.0\nfile {relative}\n",
        "list.ffconcat": f"ffconcat version 1.0\nfile {relative}\n",
        "list.txt": f"ffconcat version 1.0\nfile '{absolute}'\n",
        "relative.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{relative}\n#EXT-X-ENDLIST\n",
        "absolute.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{absolute}\n#EXT-X-ENDLIST\n",
        "hls.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{absolute}\n#EXT-X-ENDLIST\n",
        "dash.mpd": f"<?xml version='1.0'?><MPD><Period><AdaptationSet><Representation><BaseURL>{absolute}</BaseURL>"
        "</Representation></AdaptationSet></Period></MPD>",
        "call.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
        "a=rtpmap:96 H264/90000\n",
        "frame001.ppm": "P6 4 4 255\n" + "x" * 48,
        "redirect.asx": f"<asx><entry><ref href='{absolute}'/></entry></asx>",
    }


def test_no_file_makes_the_decoder_read_another(tmp_path):
    target = encode(tmp_path / "secret.mp4", numbered(5))
    os.utime(target, (0, target.stat().st_mtime))  # never read since it was written
    for name, content in playlists(target).items():
        for isolate in (False, True):
            refused(written(tmp_path / name, content), isolate=isolate)
        with pytest.raises(VideoError):
            probe(tmp_path / name)
    assert target.stat().st_atime == 0
    target.read_bytes()
    if target.stat().st_atime == 0:
        pytest.skip("refused all, but this file system does not tell whether a file was read")


def test_no_file_opens_a_connection(tmp_path):
    callers = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/x.ts"

        def listen():
            try:
                callers.append(server.accept()[1])
            except TimeoutError:
                return

        thread = threading.Thread(target=listen)
        thread.start()
        for name, content in (
            ("net.m3u8", f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{address}\n#EXT-X-ENDLIST\n"),
            ("net.mp4", f"ffconcat version 1.0\nfile {address}\n"),
        ):
            refused(written(tmp_path / name, content))
        refused(address)
        thread.join()
    assert not callers
