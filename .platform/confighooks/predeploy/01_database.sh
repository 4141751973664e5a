#!/usr/bin/env bash
# A changed environment property restarts the app like a deploy, and may move the data directory or the backups.
set -euo pipefail
hooks=$(dirname "$0")/../../hooks
"$hooks/prebuild/01_data.sh"
"$hooks/predeploy/01_database.sh"
