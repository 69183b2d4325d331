# The formatter: shipped files are its fixed points, it says what it would change, and what it prints means the same.

for file in models/*.dsl tasks/*.dsl; do
    succeeds "$file is formatted" "$BUILD/xvlmc" fmt --check "$file"
done

# Every shipped file without its indentation and with doubled blank lines comes back as it was.
mkdir -p "$WORK/format"
for file in models/*.dsl tasks/*.dsl; do
    copy=$WORK/format/$(basename "$file")
    sed 's/^ *//' "$file" > "$copy"
    if ! cmp -s "$file" "$copy"; then
        says 1 'not formatted' "$copy is not formatted" "$BUILD/xvlmc" fmt --check "$copy"
        succeeds "$copy can be formatted" "$BUILD/xvlmc" fmt "$copy"
        same "$copy is $file again" "$file" "$copy"
    fi
done

printf 'config a = \n' > "$WORK/format/broken.dsl"
cp "$WORK/format/broken.dsl" "$WORK/format/broken.copy"
ends_with 1 "a file with errors is refused" "$BUILD/xvlmc" fmt "$WORK/format/broken.dsl"
same "a file with errors stays as it is" "$WORK/format/broken.copy" "$WORK/format/broken.dsl"
