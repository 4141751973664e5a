#!/usr/bin/env bash
# Makes nginx refuse requests that do not come through CloudFront: they could claim any client address. CloudFront sends
# a secret with each request (see deploy/takeanumber.yaml). Without CloudFront, the secret is "none" or not set.
set -euo pipefail
secret=${NGINX_ORIGIN_SECRET:-none}
directory=${EB_NGINX:-/etc/takeanumber/nginx} # included by the locations in .platform/nginx
case "$secret" in
  *[!A-Za-z0-9_-]*)
    echo "NGINX_ORIGIN_SECRET may only contain letters, digits, _ and -. Use 'none' to accept all requests." >&2
    exit 1
    ;;
esac
umask 077 # only root reads it; nginx does so before it gives up its rights
mkdir -p "$directory"
if [ "$secret" = none ]; then
  rm -f "$directory/origin.conf"
else
  echo "if (\$http_x_takeanumber_origin != \"$secret\") { return 403; }" >"$directory/origin.conf"
fi
