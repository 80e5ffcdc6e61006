import asyncio

import pytest

from local import demo
from local.beds import BedFailed


def test_music_that_is_not_there_is_refused_before_anything_is_started(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "STATE", tmp_path / "state")
    monkeypatch.setattr(demo, "OUT", tmp_path / "out")
    monkeypatch.setattr(demo, "Stack", None)  # not to be reached
    with pytest.raises(BedFailed, match=r'BED: ".*none\.mp3" is no file; a song as MP3'):
        asyncio.run(demo.demo({"BED": str(tmp_path / "none.mp3")}))
