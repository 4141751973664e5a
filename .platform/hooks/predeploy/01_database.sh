#!/usr/bin/env bash
# The old version, if there is one, still serves. A failure here ends the deploy, and it goes on as it was.
set -euo pipefail
takeanumber=$(dirname "$0")/../../takeanumber
if [ -e "${TAKEANUMBER_DATA:?is not set}/takeanumber.db" ]; then
  "$takeanumber" backup # which also refuses a database that is newer than this code
else
  "$takeanumber" restore --or-new --hand-over # a new instance, perhaps beside one that serves
fi
