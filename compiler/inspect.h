// `xvlmc inspect DIR`: the report of a compiled task, and what its kernels need on a GPU.
#pragma once

// argv[0] is "inspect". The exit status: 0 done, 1 after a message, 2 wrong usage.
int inspect_command(int argc, char **argv);
