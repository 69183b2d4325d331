# The SIMT emulator on kernels of its own: sound ones compute what they must and raise no alarm, each planted fault is
# reported with kernel, line and kind.

# module NAME: tests/simt/NAME.cu as a shared object for the emulator.
module() {
    succeeds "tests/simt/$1.cu compiles" tests/simt/compile.sh "tests/simt/$1.cu" "$WORK/$1.so"
}

# numbers NAME BLOCKS THREADS FIRST: the numbers of a kernel of $module (sound) start so.
numbers() {
    says 0 "^$4" "$1" "$BUILD/tests/simt_run" "$WORK/${module:-sound}.so" "$1" "$2" "$3"
}

sound() {
    numbers reversal 2 96 "95 94 93 .* 2 1 0 191 190 .* 97 96\$"
    numbers collectives 2 64 "$(seq -s ' ' 0 63) $(seq -s ' ' 0 63)\$"
    numbers halves 1 32 "15 14 13 12 11 10 9 8 7 6 5 4 3 2 1 0 16 16 16 16 16 16 16 16 16 16 16 16 16 16 16 16\$"
    numbers ordered 2 64 "163 162 161 .* 101 100 163 .* 100\$"
    numbers counter 2 64 "128 1 2 3"
}

matrix() {
    local module=matrix
    numbers conversions 2 64 "$(seq -s ' ' 0 127)\$"
    numbers fragments 2 64 "$(seq -s ' ' 0 127)\$"
    numbers matrices 2 32 "$(seq -s ' ' 0 31) $(seq -s ' ' 0 31)\$"
    numbers copies 2 64 "63 1062 2061 .* 63000 64127 65126 .* 127064\$"
}

faults() {
    local kernel line pattern
    # shellcheck disable=SC2013
    for kernel in $(sed -n 's/^XV_ENTRY(\(.*\))/\1/p' tests/simt/faults.cu); do
        line=$(awk -v name="$kernel" '/^XV_KERNEL/ { inside = index($0, " " name "(") }
            inside && /FAULT/ { print NR }' tests/simt/faults.cu)
        pattern=$(sed -n "${line}s/.*FAULT //p" tests/simt/faults.cu)
        says 1 "^kernel $kernel, faults\.cu:$line: .*$pattern" "$kernel is reported" \
            "$BUILD/tests/simt_run" "$WORK/faults.so" "$kernel" 1 64
    done
}

module sound && sound
module matrix && matrix
module faults && faults
