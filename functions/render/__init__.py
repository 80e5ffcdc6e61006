"""render: answers the API, and makes beds and speech."""
