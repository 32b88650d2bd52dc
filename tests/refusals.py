"""What a refusal must look like: one plain sentence."""

import pytest
from patchlens.limits import VideoError
from patchlens.video import read


def refused(path, **options):
    """The sentence with which `read` refuses a file, checked to be one."""
    with pytest.raises(VideoError) as caught:
        read(path, **options)
    return sentence(caught.value)


def sentence(error):
    text = str(error)
    assert 15 < len(text) <= 600 and text.endswith("."), text
    assert "\n" not in text and "Traceback" not in text and "Errno" not in text and ".py" not in text, text
    return text
