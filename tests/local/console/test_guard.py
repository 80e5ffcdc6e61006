"""Who may use the console."""

import pytest

from local.console.guard import refusal

HOST, ORIGIN = "127.0.0.1:8080", "http://127.0.0.1:8080"


@pytest.mark.parametrize("host", [HOST, "localhost:8080", "[::1]:8080", "127.0.0.1"])
def test_the_consoles_own_page_may_ask(host):
    assert refusal(host, f"http://{host}", "127.0.0.1") == ""
    assert refusal(host, None, "::1") == ""  # a page that is opened has no Origin


def test_a_name_that_somebody_else_points_here_may_not():
    assert "'music.example'" in refusal("music.example:8080", "http://music.example:8080", "127.0.0.1")


@pytest.mark.parametrize("origin", ["https://music.example", "http://127.0.0.1:8081", "null"])
def test_a_page_from_elsewhere_may_not(origin):
    assert origin in refusal(HOST, origin, "127.0.0.1")


@pytest.mark.parametrize("remote", ["192.168.1.7", None])
def test_another_machine_may_not(remote):
    assert "this machine alone" in refusal(HOST, ORIGIN, remote)
