"""The console as a person uses it: in a real browser, against the real stack."""

import io
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest

from render.engines.espeak import EspeakEngine

OUT = Path(__file__).resolve().parents[2] / "out"
LINE = "Thank you for waiting. You are next in line."
LONG_LINE = "This is a long announcement that nobody wants to hear until its very end, however well it is read. " * 3
DUCKED_BY_DB = 7  # of 14: in a pause between two words the words before still ring


def wav_of(pcm, rate_hz):
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate_hz)
        writer.writeframes((np.clip(pcm, -1, 1) * 32767).astype("<i2").tobytes())
    return file.getvalue()


def a_chord(seconds=9, rate_hz=44_100):
    times_s = np.arange(seconds * rate_hz) / rate_hz
    return wav_of(sum(0.1 * np.sin(2 * np.pi * hz * times_s) for hz in (330, 440, 550, 660, 880)), rate_hz)


def chosen(page, field, name, mime, body):
    page.page.set_input_files(field, {"name": name, "mimeType": mime, "buffer": body})


@pytest.mark.parametrize(("width", "scheme"), [(1360, "light"), (420, "dark")])
def test_a_call_is_placed_heard_spoken_into_and_hung_up(console, width, scheme):
    OUT.mkdir(exist_ok=True)
    with console(width, scheme) as page:
        page.call()
        music_dbov = page.of("duckline.ear.floor_dbov")
        assert -45 < music_dbov < -20

        page.page.fill("#line", LINE)
        page.page.click("#speak")
        page.until_speech("playing")
        # The page's own audio graph: what it has played is louder by the words, and in their pauses softer.
        page.until(f"duckline.ear.floor_dbov < {music_dbov - DUCKED_BY_DB}")
        page.until("duckline.ear.tick > duckline.speeches.shown()[0].voices[0][0] + 80")
        page.page.screenshot(path=OUT / f"console-{width}.png", full_page=True)
        assert page.of("Math.min(...duckline.phone.gain.map(([, gain]) => gain))") < 0.5
        page.until_speech("finished")
        assert page.of("Math.max(...duckline.ear.levels.slice(-250))") > music_dbov + 6
        page.until(f"duckline.ear.floor_dbov > {music_dbov - 3}")

        latency_s = float(page.of("document.querySelector('#speeches > li').dataset.latencyS"))
        assert 1 < latency_s < 20
        page.hang_up()
        page.until("document.getElementById('twilio').innerText.includes('/voice/status')")
        page.until("document.getElementById('call-state').innerText === 'Call over, you hung up'")
        assert page.of("document.documentElement.scrollWidth <= innerWidth")
        assert page.said == []


def test_all_of_it_works_from_the_keyboard(console):
    with console() as page:
        keyboard = page.page.keyboard
        keyboard.press("c")
        page.until("duckline.phone.now?.line")
        page.until("document.activeElement.id === 'line'")
        page.page.locator("#line").fill(LONG_LINE)
        keyboard.press("Enter")
        page.until_speech("playing")
        page.page.locator("#line").fill(f"Something came up. {LONG_LINE}")
        keyboard.press("Control+Enter")
        page.until_speech("playing")
        page.until_speech("cancelled", number=1)
        page.page.focus("#silence")
        keyboard.press("Space")
        page.until_speech("cancelled")
        page.page.focus("#mute")
        keyboard.press("Enter")
        assert page.of("document.getElementById('mute').getAttribute('aria-pressed')") == "true"
        page.page.evaluate("document.activeElement.blur()")
        keyboard.press("c")
        page.until("!duckline.phone.isLive")
        assert page.said == []


def test_a_files_words_are_spoken_and_a_files_music_is_played(console):
    pcm, rate_hz = EspeakEngine().synthesise("A table for two.", voice="en-gb-x-rp")
    with console() as page:
        page.call()
        chosen(page, "#audio-file", "own voice.wav", "audio/wav", wav_of(pcm, rate_hz))
        page.until_speech("playing")
        page.until_speech("finished")
        chosen(page, "#music-file", "A Chord.wav", "audio/wav", a_chord())
        page.until("document.getElementById('bed').value === 'a-chord'")
        page.until(
            "duckline.phone.now.beds.some((bed) => bed.name === 'a-chord' && bed.start < duckline.phone.now.sealed)"
        )
        page.page.select_option("#bed", "shipped")
        page.until("duckline.phone.now.beds.at(-1).name === 'shipped'")
        assert page.said == []


def test_a_request_is_copied_as_curl_that_can_be_run(console):
    with console() as page:
        page.call()
        page.page.click("#speak")
        page.until_speech("playing")
        row = page.page.locator("#requests details").first
        row.locator("summary").click()
        assert "$KEY" in row.locator("pre").first.inner_text()
        row.get_by_role("button", name="Copy as curl").click()
        curl = page.until("navigator.clipboard.readText()")
        ran = subprocess.run(
            ["bash", "-c", f"{curl} --silent --write-out ' %{{http_code}}'"], capture_output=True, text=True
        )
        assert ran.stdout.endswith(" 201"), ran
        page.until("document.querySelectorAll('#speeches > li').length === 2")
        assert "asked for elsewhere" in page.page.inner_text("#speeches")


def test_what_fails_is_said_plainly(console):
    with console() as page:
        page.page.press("#line", "Enter")
        assert "Press Call first" in page.page.inner_text("#notices")
        page.call()
        chosen(page, "#audio-file", "notes.txt", "audio/wav", b"no sound at all, only words" * 20)
        page.until("document.getElementById('notices').innerText.includes('udio')")
        page.until_speech("failed")
        page.page.locator("#notices button").first.click()
        assert all("415" in said for said in page.said)


def test_a_line_that_breaks_is_told(console):
    lines = []

    def connected(line):
        line.connect_to_server()
        lines.append(line)

    with console() as page:
        page.page.route_web_socket("**/live", connected)
        page.page.reload()
        page.until("!document.getElementById('call').disabled")
        page.call()
        lines[0].close()
        page.until("document.getElementById('call-state').innerText === 'The line is dead'")
        assert "connection to the stack was lost" in page.page.inner_text("#notices")


def test_neither_the_browser_nor_the_stack_writes_the_key_down(console, stack):
    with console() as page:
        page.call()
        page.page.click("#speak")
        page.until_speech("finished")
        assert stack["api_key"] not in page.page.content()
        assert stack["api_key"] not in "\n".join(page.said)
    told = stack["log"].read_text()
    assert told.count(stack["api_key"]) == 1  # the line that greets whoever started it
