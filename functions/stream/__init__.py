"""stream: sends one window of a call's audio in real time."""
