#!/bin/sh
# compile.sh FILE.cu OUT.so: kernels for the emulator, with the options of generated Makefiles (make simt).
exec "${CXX:-g++}" -std=c++20 -DXV_SIMT -O1 -fPIC -shared -Wall -Wextra -Werror -Wno-unused-function \
    -Wno-unknown-pragmas -Wno-maybe-uninitialized -ffp-contract=off -I. -include runtime/cuda/library.cuh \
    -x c++ "$1" -o "$2"
