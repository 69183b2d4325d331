// The subcommands of `xvlm data`; each is a main of its own, as in tool.h.
#pragma once

// Texts, one JSON object a line, as the official cleaners leave them.
int xv_data_clean(int argc, char **argv);

// Texts, one JSON object a line, as token ids and pieces.
int xv_data_tokenize(int argc, char **argv);

// Pictures as tensors: decoded, resized, normalised.
int xv_data_decode(int argc, char **argv);

// The loader's speed.
int xv_data_bench(int argc, char **argv);

// What is wrong with a data set, and what is in it.
int xv_data_check(int argc, char **argv);
int xv_data_stats(int argc, char **argv);

// Published annotation files into records; see data_convert.h.
int xv_data_convert(int argc, char **argv);

// Pictures in shards that are read without decoding, and a record drawn as a picture.
int xv_data_pack(int argc, char **argv);
int xv_data_show(int argc, char **argv);
