// Configuration from outside: `--config FILE` (YAML or JSON, the official X-VLM files as they are) and
// `--set key=value`. Both become entries under dotted paths ("text_config.hidden_size") in the order given; a
// later entry replaces an earlier one of the same path in place. What the paths mean is the elaborator's
// affair.
//
// A JSON file with an object "config" keeps its configuration there and in "vision_config" and "text_config"
// beside it. Its other keys describe the case: plain values among them are optional entries, which count where
// there is such a configuration and mean nothing elsewhere; groups are passed over. `vision_config` and
// `text_config` may be given as the path of a JSON file, which then stands in their place; it is looked up from
// the working directory, the folder of the configuration file and the two folders above that.
#pragma once

#include "compiler/base/map.h"
#include "dsl/parse.h"

typedef enum ConfigKind {
    CONFIG_NONE,
    CONFIG_INT,
    CONFIG_FLOAT,
    CONFIG_BOOL,
    CONFIG_STRING,
    CONFIG_LIST
} ConfigKind;

typedef struct ConfigValue {
    ConfigKind kind;
    Span span;                        // of the value, for messages
    int64_t integer;                  // INT
    double number;                    // FLOAT
    bool truth;                       // BOOL
    Sym text;                         // STRING; for others the text as it was written, for lists NULL
    const struct ConfigValue *items;  // LIST
    int n_items;
} ConfigValue;

typedef struct ConfigEntry {
    Sym path;  // "optimizer.lr"
    Span key;  // of the last component where it is given
    ConfigValue value;
    bool is_optional;    // of a case's description, see above
    const char *origin;  // "configs/VQA.yaml:42" or "--set optimizer.lr=1e-5"
} ConfigEntry;

typedef struct Config {
    const ParseContext *context;
    Map *entries;  // Sym -> ConfigEntry *, in order
} Config;

Config *config_new(const ParseContext *context);

// Adds the entries of a file. False when errors were reported.
bool config_read(Config *config, const char *path);

// Adds one entry from "key=value"; the value is read as YAML (`--set depths=[2, 2, 6, 2]`). False when errors
// were reported.
bool config_set(Config *config, const char *assignment);

// The entry of a dotted path, or NULL.
const ConfigEntry *config_find(const Config *config, const char *path);
