"""Which function answers a method and a path."""

import pytest

from local.routes import Routes
from local.template import Route

ROUTES = Routes(
    {
        Route("GET", "/calls/{sid}"): "render",
        Route("GET", "/calls/latest"): "special",
        Route("POST", "/calls/{sid}/speeches"): "render",
        Route("GET", "/openapi.json"): "render",
        Route("ANY", "/anything"): "any",
    }
)


def test_a_path_is_found_with_its_parameters():
    assert ROUTES.find("POST", "/calls/CA1/speeches") == ("POST /calls/{sid}/speeches", "render", {"sid": "CA1"})


def test_a_parameter_is_decoded_and_takes_one_part_of_a_path():
    assert ROUTES.find("GET", "/calls/a%2Fb%20c")[2] == {"sid": "a/b c"}
    assert ROUTES.find("GET", "/calls/a/b") is None


def test_a_literal_path_goes_before_a_variable_one():
    assert ROUTES.find("GET", "/calls/latest")[1] == "special"


def test_a_dot_in_a_path_is_a_dot():
    assert ROUTES.find("GET", "/openapi-json") is None


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/calls/CA1"), ("GET", "/calls/"), ("GET", "/calls/CA1/")])
def test_another_method_or_path_is_not_found(method, path):
    assert ROUTES.find(method, path) is None


def test_any_method_goes_to_a_route_for_any():
    assert ROUTES.find("PATCH", "/anything")[1] == "any"


def test_a_path_template_that_is_not_understood_is_refused():
    with pytest.raises(ValueError, match=r"/files/\{proxy\+\} is not understood"):
        Routes({Route("GET", "/files/{proxy+}"): "render"})
