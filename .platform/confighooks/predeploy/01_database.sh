#!/usr/bin/env bash
# A changed environment property restarts the app as a deploy does, and may have moved its data or its backups.
set -euo pipefail
hooks=$(dirname "$0")/../../hooks
"$hooks/prebuild/01_data.sh"
"$hooks/predeploy/01_database.sh"
