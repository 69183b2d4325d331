#!/bin/sh
# Rewrites the expected messages: what `xvlmc check` prints now becomes what it must print. Review the difference.
set -u
for file in tests/errors/*.dsl; do
    build/xvlmc check "$file" 2> "${file%.dsl}.err" > /dev/null
done
git diff --stat -- tests/errors
