# Merges kernels of several programs into one text in which equal ones stand once; those of a program are called
# NAME_of_TASK, the library's keep their names.
#
#   awk -f merge_kernels.awk FOLDER/TASK/kernels.cu... > kernels.cu
FNR == 1 {
    task = FILENAME
    sub(/\/kernels.cu$/, "", task)
    sub(/.*\//, "", task)
}
/^\/\// || /^$/ { next }
{ text = text $0 "\n" }
/^XV_ENTRY\(/ {
    name = $0
    sub(/^XV_ENTRY\(/, "", name)
    sub(/\).*/, "", name)
    body = text
    sub("XV_ENTRY.*", "", body)
    sub(" " name "\\(", " @(", body)
    if (!(body in seen)) {
        seen[body] = 1
        if (name !~ /^xv_/) {
            sub(" " name "\\(", " " name "_of_" task "(", text)
            sub("XV_ENTRY\\(" name "\\)", "XV_ENTRY(" name "_of_" task ")", text)
        }
        print text
    }
    text = ""
}
