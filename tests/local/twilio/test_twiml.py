import pytest
from twilio.twiml.voice_response import Gather as TheirGather
from twilio.twiml.voice_response import VoiceResponse

from local.twilio.log import CallFault
from local.twilio.twiml import Document, Gather, Hangup, Pause, Play, Redirect, Reject, Say, read


def verbs(inner: str):
    document = read(f"<Response>{inner}</Response>".encode())
    assert document.problems == ()
    return document.verbs


def test_twilios_own_writer_is_understood():
    response = VoiceResponse()
    gather = TheirGather(input="dtmf speech", num_digits=1, action="/input", timeout=3, action_on_empty_result=True)
    gather.play("/stream/a.wav")
    response.append(gather)
    response.say("Hello", voice="Polly.Joanna")
    response.pause(length=2)
    response.redirect("/voice/next", method="POST")
    document = read(str(response).encode())
    assert document.problems == ()
    assert document.verbs == (
        Gather(
            prompts=(Play("/stream/a.wav"),),
            inputs=frozenset({"dtmf", "speech"}),
            action="/input",
            timeout_s=3,
            speech_timeout_s=3,
            num_digits=1,
            action_on_empty_result=True,
        ),
        Say("Hello"),
        Pause(2),
        Redirect("/voice/next"),
    )


def test_what_is_left_out_has_twilios_defaults():
    assert verbs("<Play>a.wav</Play><Pause/><Redirect>b</Redirect><Reject/><Hangup/><Gather/>") == (
        Play("a.wav", loop=1),
        Pause(1),
        Redirect("b", "POST"),
        Reject("rejected"),
        Hangup(),
        Gather(timeout_s=5, speech_timeout_s=5, num_digits=None, finish_on_key="#", method="POST"),
    )


def test_a_loop_of_zero_is_a_thousand():
    assert verbs('<Play loop="0">a.wav</Play>') == (Play("a.wav", loop=1000),)


def test_no_finishing_key_can_be_asked_for():
    assert verbs('<Gather finishOnKey=""/>')[0].finish_on_key == ""


def test_escaped_urls_are_unescaped():
    assert verbs("<Play>\n  /s.wav?a=1&amp;b=2\n</Play>") == (Play("/s.wav?a=1&b=2"),)


def test_an_empty_response_is_a_call_that_ends():
    assert read(b'<?xml version="1.0" encoding="UTF-8"?><Response/>') == Document(())


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", 12100),
        (b"not XML", 12100),
        (b'\n<?xml version="1.0"?><Response/>', 12100),
        (b"<Response><Play>a</Response>", 12100),
        (b"<Response><Play loop=1>a</Play></Response>", 12100),
        (b"<Response><Play>a?b=1&c=2</Play></Response>", 12100),
        (b"<Twiml/>", 12100),
        (b"<response/>", 12100),
        (b"<Response>" + b" " * 65_536 + b"</Response>", 11750),
    ],
)
def test_what_is_no_document_drops_the_call(text, code):
    with pytest.raises(CallFault) as fault:
        read(text)
    assert fault.value.code == code


@pytest.mark.parametrize(
    ("inner", "code", "left"),
    [
        ("<Dial>+15005550006</Dial>", 12200, ()),
        ("<play>a.wav</play>", 12200, ()),
        ("<Play volume='9'>a.wav</Play>", 12200, (Play("a.wav"),)),
        ("<Play>a.wav<Say>b</Say></Play>", 12200, (Play("a.wav"),)),
        ("hello<Play>a.wav</Play>", 12200, (Play("a.wav"),)),
        ("<Hangup>now</Hangup>", 12200, (Hangup(),)),
        ("<Pause>x</Pause>", 12200, (Pause(),)),
        ("<Play loop='-1'>a.wav</Play>", 13410, (Play("a.wav"),)),
        ("<Play loop='twice'>a.wav</Play>", 13410, (Play("a.wav"),)),
        ("<Play digits='1x'>a.wav</Play>", 13430, (Play("a.wav"),)),
        ("<Play/>", 11100, ()),
        ("<Redirect> </Redirect>", 11100, ()),
        ("<Redirect method='PUT'>a</Redirect>", 13710, (Redirect("a"),)),
        ("<Say/>", 13520, ()),
        ("<Say loop='x'>a</Say>", 13510, (Say("a"),)),
        ("<Pause length='1.5'/>", 13910, (Pause(1),)),
        ("<Reject reason='bored'/>", 13810, (Reject(),)),
        ("<Gather><Redirect>a</Redirect></Gather>", 13320, (Gather(),)),
        ("<Gather><Gather/></Gather>", 13320, (Gather(),)),
        ("<Gather finishOnKey='12'/>", 13310, (Gather(),)),
        ("<Gather method='HEAD'/>", 13312, (Gather(),)),
        ("<Gather timeout='soon'/>", 13313, (Gather(),)),
        ("<Gather numDigits='0'/>", 13314, (Gather(),)),
        ("<Gather speechTimeout='x'/>", 13327, (Gather(),)),
        ("<Gather bargeIn='yes'/>", 13332, (Gather(),)),
        ("<Gather actionOnEmptyResult='yes'/>", 13338, (Gather(),)),
        ("<Gather input='voice'/>", 12200, (Gather(),)),
    ],
)
def test_what_twilio_would_warn_of_is_told_and_passed_over(inner, code, left):
    document = read(f"<Response>{inner}</Response>".encode())
    (problem,) = document.problems
    assert problem.code == code
    assert document.verbs == left
