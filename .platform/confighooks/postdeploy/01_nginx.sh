#!/usr/bin/env bash
# Lets nginx read what 02_nginx.sh has written. A deploy restarts nginx; a change of the configuration may not.
set -euo pipefail
if systemctl is-active --quiet nginx; then
  nginx -t -q
  systemctl reload nginx
fi
