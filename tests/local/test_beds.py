"""Music on its way to a bed: what is uploaded, what is waited for, and what is said when it goes wrong."""

import asyncio
import json
from dataclasses import dataclass, field

import boto3
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from moto import mock_aws

from local import beds
from local.beds import ApiAccess, BedFailed, api_access, main, make_bed

KEY = "a-key"
MOTOS_ACCOUNT = "123456789012"


@dataclass
class Api:
    """The API and the bucket in one: the bed is `states`, one after the other, once the upload has come."""

    states: list[dict]
    refuses_upload: bool = False
    uploaded: dict[str, bytes] = field(default_factory=dict)
    asked: int = 0

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/beds/{name}", self.form)
        app.router.add_get("/beds/{name}", self.show)
        app.router.add_post("/bucket", self.upload)
        return app

    def refusal(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") == f"Bearer {KEY}":
            return None
        return web.json_response({"detail": "the Authorization header must be: Bearer"}, status=401)

    async def form(self, request: web.Request) -> web.Response:
        upload = {"url": str(request.url.with_path("/bucket")), "fields": {"key": "uploads/calm/1"}}
        return self.refusal(request) or web.json_response({"upload": upload}, status=201)

    async def show(self, request: web.Request) -> web.Response:
        if not self.uploaded:
            return web.json_response({"name": "calm", "state": "rendering"})
        state = self.states[min(self.asked, len(self.states) - 1)]
        self.asked += 1
        return web.json_response({"name": "calm", **state})

    async def upload(self, request: web.Request) -> web.Response:
        assert request.content_length  # S3 takes no upload in chunks
        form = await request.post()
        if self.refuses_upload:
            return web.Response(status=403, text="EntityTooLarge")
        self.uploaded[form["key"]] = form["file"].file.read()
        return web.Response(status=204)


READY = {"state": "ready", "seconds": 80.0, "level_dbov": -28.1}


@pytest.fixture
def song(tmp_path):
    path = tmp_path / "song.mp3"
    path.write_bytes(bytes(range(256)) * 4000)
    return path


def made(api: Api, song, tell=lambda line: None, key: str = KEY) -> dict:
    async def run() -> dict:
        async with TestServer(api.app()) as server:
            return await make_bed(str(server.make_url("")), key, "calm", song, tell)

    return asyncio.run(run())


def test_a_file_goes_whole_to_where_the_api_says_and_the_bed_is_waited_for(song):
    api = Api([{"state": "rendering"}, READY])
    assert made(api, song)["seconds"] == 80
    assert api.uploaded == {"uploads/calm/1": song.read_bytes()}


def test_who_waits_is_told_how_far_it_is(song, monkeypatch):
    monkeypatch.setattr(beds, "TELLS_EVERY_S", 0)
    told: list[str] = []
    made(Api([{"state": "rendering"}, {"state": "rendering"}, READY]), song, told.append)
    assert told[0] == "uploading song.mp3 (1.0 MB)"
    shares = [int(line.split("%")[0]) for line in told if line.endswith("% is uploaded")]
    assert shares == sorted(shares) and len(shares) > 3 and shares[-1] == 100
    assert "render is making a bed of it" in told
    assert "rendering for 0 s" in told


def test_a_song_that_does_not_become_a_bed_is_told_with_the_reason(song):
    with pytest.raises(BedFailed, match="this MP3 is cut short"):
        made(Api([{"state": "rendering"}, {"state": "failed", "reason": "this MP3 is cut short"}]), song)


def test_an_upload_that_is_refused_is_told(song):
    with pytest.raises(BedFailed, match=r"the upload of song\.mp3 was refused: 403 EntityTooLarge"):
        made(Api([READY], refuses_upload=True), song)


def test_a_wrong_key_is_told_with_what_the_api_says(song):
    with pytest.raises(BedFailed, match=r"POST /beds/calm was answered with 401: .*must be: Bearer"):
        made(Api([READY]), song, key="wrong")


def test_a_bed_that_never_comes_is_given_up(song, monkeypatch):
    monkeypatch.setattr(beds, "GIVES_UP_AFTER_S", 0.2)
    with pytest.raises(BedFailed, match="GET /beds/calm may know more"):
        made(Api([{"state": "rendering"}]), song)


def test_no_file_is_refused_before_anything_is_asked(tmp_path):
    with pytest.raises(BedFailed, match=r"none\.mp3 is no file; a song as MP3"):
        asyncio.run(make_bed("http://127.0.0.1:9", KEY, "calm", tmp_path / "none.mp3"))


# -- which API ------------------------------------------------------------------------------------


def test_the_local_stack_is_meant_where_one_runs(tmp_path):
    running = tmp_path / "stack.json"
    running.write_text(json.dumps({"api_url": "http://127.0.0.1:8080", "api_key": KEY}))
    assert api_access({}, stack_file=running) == ApiAccess("http://127.0.0.1:8080", KEY, "the local stack")


def test_an_address_of_ones_own_goes_before_it(tmp_path):
    running = tmp_path / "stack.json"
    running.write_text("{}")
    named = {"API_URL": "https://api.example.com/", "API_KEY": KEY}
    assert api_access(named, stack_file=running) == ApiAccess("https://api.example.com", KEY, "API_URL")


@pytest.fixture
def deployed(monkeypatch):
    """A stack named `hold`, as CloudFormation and Secrets Manager know it."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    # moto's CloudFormation makes no secrets: a queue lends its id.
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "the-key"}}
    template = {"Resources": {"ApiKey": queue}, "Outputs": {"ApiUrl": {"Value": "https://api.example.com"}}}
    with mock_aws():
        secret_id = f"https://sqs.eu-central-1.amazonaws.com/{MOTOS_ACCOUNT}/the-key"
        boto3.client("secretsmanager").create_secret(Name=secret_id, SecretString=KEY)
        boto3.client("cloudformation").create_stack(StackName="hold", TemplateBody=json.dumps(template))
        yield


@pytest.mark.usefixtures("deployed")
def test_a_deployment_is_found_by_its_name(tmp_path):
    running = tmp_path / "stack.json"
    running.write_text("{}")
    assert api_access({}, "hold", running) == ApiAccess("https://api.example.com", KEY, "the stack hold")
    with pytest.raises(BedFailed, match="there is no stack other in eu-central-1"):
        api_access({}, "other", running)


def test_without_any_stack_it_says_how_to_come_by_one(tmp_path, monkeypatch):
    monkeypatch.setattr("operations.deployment.configured_stack.__defaults__", (tmp_path / "samconfig.toml",))
    with pytest.raises(BedFailed, match="make dev starts one, make deploy makes one"):
        api_access({}, stack_file=tmp_path / "stack.json")


def test_the_command_says_in_one_line_what_is_wrong(tmp_path, capsys):
    environ = {"API_URL": "http://127.0.0.1:9", "API_KEY": KEY}
    assert main([str(tmp_path / "none.mp3"), "calm"], environ) == 1
    assert capsys.readouterr().err.endswith(
        "none.mp3 is no file; a song as MP3, OGG, FLAC, M4A or WAV would be right\n"
    )


def test_an_api_that_is_not_there_is_told_in_one_line(song, capsys):
    assert main([str(song), "calm"], {"API_URL": "http://127.0.0.1:9", "API_KEY": KEY}) == 1
    assert "127.0.0.1:9" in capsys.readouterr().err
