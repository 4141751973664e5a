#!/usr/bin/env bash
# Backs up the database, or restores it on a new instance. If there is an old version, it is still serving. A failure
# here aborts the deploy, and the old version goes on. The new server takes over by itself when customers reach it.
set -euo pipefail
takeanumber=$(dirname "$0")/../../takeanumber
if [ -n "${TAKEANUMBER_DATABASE_URL:-}" ]; then
  exec bash "$takeanumber" check # PostgreSQL makes its own backups
fi
if [ -e "${TAKEANUMBER_DATA:?is not set}/takeanumber.db" ]; then
  bash "$takeanumber" backup # also refuses a database that is newer than this code
else
  bash "$takeanumber" restore --or-new # a new instance; an old one may still be serving
fi
