#!/usr/bin/env bash
# Creates the data directory. The app's user must own the directory too, because SQLite creates the files -wal and -shm
# beside the database.
set -euo pipefail
data=${TAKEANUMBER_DATA:-}
app=${EB_APP:-/var/app}
case "$data" in
  "" | [!/]* | "$app" | "$app"/*)
    echo "TAKEANUMBER_DATA is '$data': it must be a directory outside of $app, which deploys replace." >&2
    exit 1
    ;;
esac
mkdir -p "$data"
chown "${EB_APP_USER:-webapp}:" "$data"
chmod 700 "$data"
# A cloned environment has all properties of the first, TAKEANUMBER_BACKUP_URL too. Only this name tells them apart.
if name=$("${EB_GET_CONFIG:-/opt/elasticbeanstalk/bin/get-config}" container -k environment_name) && [ -n "$name" ]; then
  echo "$name" >"$data/environment"
  chown "${EB_APP_USER:-webapp}:" "$data/environment"
fi
