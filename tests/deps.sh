#!/bin/sh
# Installs what building and testing need on Debian and Ubuntu; says what to install elsewhere.
# Run by `make deps`. Uses sudo when not root. Installs only what is missing.
set -eu

packages="gcc g++ make flex bison pkg-config libcjson-dev libyaml-dev libjpeg-dev libpng-dev zlib1g-dev
libutf8proc-dev libopenblas-openmp-dev libcurl4-openssl-dev libcmocka-dev openmpi-bin mpich"

if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
    echo "This is not a Debian or Ubuntu system. Please install: a C11 and a C++20 compiler with OpenMP, GNU make,"
    echo "Flex, Bison 3.8, and the development files of cJSON, libyaml, libjpeg-turbo, libpng, zlib, utf8proc,"
    echo "OpenBLAS (OpenMP build), libcurl and cmocka; Open MPI or MPICH to run, or test, several processes."
    exit 0
fi

missing=
for package in $packages; do
    if ! dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed'; then
        missing="$missing $package"
    fi
done
[ -n "$missing" ] || exit 0

run=
if [ "$(id -u)" -ne 0 ]; then
    run=sudo
fi
echo "Installing:$missing"
export DEBIAN_FRONTEND=noninteractive
$run apt-get update -qq
# shellcheck disable=SC2086
$run apt-get install -y -qq --no-install-recommends $missing >/dev/null
