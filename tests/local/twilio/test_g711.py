import warnings

import numpy as np

from local.twilio import g711


def test_zero_is_0xff_and_0x00_is_full_scale():
    assert g711.encode(np.zeros(1, np.int16)) == b"\xff" == g711.SILENCE
    assert g711.decode(b"\xff\x7f\x00\x80").tolist() == [0, 0, -32124, 32124]


def test_every_code_but_minus_zero_survives_decoding_and_encoding():
    codes = bytes(range(256))
    again = g711.encode(g711.decode(codes))
    assert again == codes.replace(b"\x7f", b"\xff")


def test_every_sample_gets_the_nearest_code_there_is():
    samples = np.arange(-32768, 32768, dtype=np.int16)
    error = np.abs(g711.decode(g711.encode(samples)).astype(int) - samples)
    levels = g711.decode(bytes(range(256))).astype(int)
    for sample in range(-32768, 32768, 97):
        assert error[sample + 32768] == np.abs(levels - sample).min()


def test_the_decoder_agrees_with_the_standard_librarys():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # gone from 3.13 on, where a wheel brings it back
        import audioop
    codes = bytes(range(256))
    assert g711.decode(codes).tolist() == np.frombuffer(audioop.ulaw2lin(codes, 2), "<i2").tolist()
