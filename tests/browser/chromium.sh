#!/bin/sh
# Prints where Chromium is; installs Debian's first if there is none and this user may.
set -eu
found() { command -v chromium || command -v chromium-browser || command -v google-chrome; }
found && exit
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "· installing Debian's Chromium" >&2
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; } >&2
  found && exit
fi
echo "There is no Chromium. On Debian or Ubuntu: sudo apt-get install chromium" >&2
exit 1
