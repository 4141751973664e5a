#!/usr/bin/env -S bash
# Removes carriage returns from the scripts that run after this one. Files that are deployed from Windows may have them.
#
# This script itself must run with them: `env -S` ignores the one in the first line, and a comment at the end of the
# command hides that one.
find .platform Procfile -type f -exec sed -i 's/\r$//' {} + #
