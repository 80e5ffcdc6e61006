"""The HTTP API's routes: which function answers a method and a path."""

import re
from collections.abc import Mapping
from urllib.parse import unquote

from local.template import Route


class Routes:
    """Which function answers a method and path. A literal part of a path goes before a variable one."""

    def __init__(self, functions: Mapping[Route, str]) -> None:
        ordered = sorted(functions, key=lambda route: [part.startswith("{") for part in route.path.split("/")])
        self._routes = [(route, _pattern(route.path), functions[route]) for route in ordered]

    def find(self, method: str, path: str) -> tuple[str, str, dict[str, str]] | None:
        """The route's key, its function and the path's parameters, decoded; None if there is no such route."""
        for route, pattern, function in self._routes:
            match = pattern.fullmatch(path)
            if match and route.method in (method, "ANY"):
                return route.key, function, {name: unquote(value) for name, value in match.groupdict().items()}
        return None


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", path)
    if any(brace in part for part in parts for brace in "{}"):
        raise ValueError(f"the route {path} is not understood; {{name}} stands for one part of a path")
    return re.compile("".join(f"(?P<{part}>[^/]+)" if odd % 2 else re.escape(part) for odd, part in enumerate(parts)))
