"""Sound in one private S3 bucket."""

from pathlib import Path
from typing import Any

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from duckline.stores import NotReached


class S3Sounds:
    """`duckline.stores.Sounds` in the bucket `bucket`."""

    def __init__(self, client: Any, bucket: str) -> None:
        self.client, self.bucket = client, bucket

    def get(self, key: str) -> bytes | None:
        try:
            return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise NotReached(f"GET {key}: {error}") from error
        except BotoCoreError as error:
            raise NotReached(f"GET {key}: {error}") from error

    def put(self, key: str, body: bytes, *, content_type: str = "application/octet-stream") -> None:
        try:
            self.client.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType=content_type)
        except (ClientError, BotoCoreError) as error:
            raise NotReached(f"PUT {key}: {error}") from error


class S3Uploads:
    """Music on its way in, in the same bucket."""

    def __init__(self, client: Any, bucket: str) -> None:
        self.client, self.bucket = client, bucket

    def form(self, key: str, most_bytes: int, good_for_s: int) -> dict[str, Any]:
        """A presigned POST for one object of at most `most_bytes`: its `url` and `fields`."""
        conditions = [["content-length-range", 1, most_bytes]]
        return self.client.generate_presigned_post(self.bucket, key, Conditions=conditions, ExpiresIn=good_for_s)

    def fetch(self, key: str, to: Path) -> None:
        """The object as a file. Raises NotReached."""
        try:
            self.client.download_file(self.bucket, key, str(to))
        except (ClientError, BotoCoreError, Boto3Error) as error:
            raise NotReached(f"GET {key}: {error}") from error
