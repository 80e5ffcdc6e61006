"""How much the API takes and shows at once. What a text may be is in `duckline.script`."""

JSON_TYPE = "application/json"
PROBLEM_TYPE = "application/problem+json"
AUDIO_TYPES = ("audio/wav", "audio/x-wav", "audio/wave", "audio/mpeg", "audio/ogg", "audio/flac")
AUDIO_MOST_BYTES = 4_000_000  # a Lambda request of 6 MB holds 4.4 MB in base64
JSON_MOST_BYTES = 64_000
KEY_MOST_CHARS = 255
LATEST = 20  # speeches that are over, shown with a call
PAGE = 100  # calls on a page
RETRY_AFTER_S = 1
