#!/bin/sh
# Stands in for `hdfs dfs` in the unit tests: hdfs:/path is the local file /path.
case $1 in
-text) exec cat "${2#hdfs:}" ;;
-ls) echo "-rw-r--r--   3 user group $(wc -c < "${2#hdfs:}") 2022-01-01 10:00 $2" ;;
*) exit 9 ;;
esac
