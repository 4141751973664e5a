#!/usr/bin/env bash
# A changed environment property restarts the app like a deploy, and may move the data directory or the backups.
# `bash` is written out everywhere, because only hooks themselves are sure to be executable.
set -euo pipefail
hooks=$(dirname "$0")/../../hooks
bash "$hooks/prebuild/01_data.sh"
bash "$hooks/prebuild/02_nginx.sh"
bash "$hooks/predeploy/01_database.sh"
