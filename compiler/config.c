// Entries of configuration files and of --set; see config.h.
#include "compiler/config.h"

#include "compiler/config_yaml.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

// Keys whose value may be the path of a JSON file that stands in their place.
static const char *const MODEL_CONFIGS[] = {"vision_config", "text_config"};
enum { N_MODEL_CONFIGS = sizeof MODEL_CONFIGS / sizeof *MODEL_CONFIGS };

typedef struct Adding {
    Config *config;
    const char *folder;  // of the configuration file, for paths in it; NULL for --set
    const char *origin;  // of --set, else NULL: the place in the file
    bool is_optional;
} Adding;

Config *config_new(const ParseContext *context)
{
    Config *config = arena_alloc(context->arena, sizeof *config);
    *config = (Config){context, map_new(context->arena)};
    return config;
}

const ConfigEntry *config_find(const Config *config, const char *path)
{
    return map_get(config->entries, intern(config->context->names, path));
}

static bool add_members(const Adding *adding, Sym prefix, const ConfigNode *group);

// Model configurations in files of their own ----------------------------------------------------------------

static bool is_model_config(Sym path)
{
    for (int i = 0; i < N_MODEL_CONFIGS; i++) {
        if (strcmp(path, MODEL_CONFIGS[i]) == 0) {
            return true;
        }
    }
    return false;
}

// The file that `path` in a configuration means, or NULL.
static const char *find_file(Arena *arena, const char *folder, const char *path)
{
    if (access(path, R_OK) == 0) {
        return path;
    }
    static const char *const steps[] = {"", "../", "../../"};
    for (int i = 0; folder && *path != '/' && i < 3; i++) {
        const char *found = path_normalised(arena, arena_format(arena, "%s/%s%s", folder, steps[i], path));
        if (access(found, R_OK) == 0) {
            return found;
        }
    }
    return NULL;
}

static bool add_file(const Adding *adding, Sym prefix, const ConfigValue *value)
{
    const ParseContext *context = adding->config->context;
    const char *path = find_file(context->arena, adding->folder, value->text);
    const Source *source = path ? source_read(context->arena, path) : NULL;
    if (!source) {
        diag_error(context->diag, value->span, "cannot read '%s': %s%s", value->text,
                   path ? strerror(errno) : "no such file",
                   adding->folder ? " here, beside this file or above it" : "");
        return false;
    }
    const ConfigNode *tree = config_parse(context, source, 0);
    if (tree && !tree->is_group) {
        diag_error(context->diag, tree->span, "expected an object with the keys of '%s'", prefix);
        return false;
    }
    return tree && add_members(adding, prefix, tree);
}

// Entries ---------------------------------------------------------------------------------------------------

static bool add_node(const Adding *adding, Sym path, const ConfigNode *node)
{
    const ParseContext *context = adding->config->context;
    if (node->is_group) {
        return add_members(adding, path, node);
    }
    if (node->value.kind == CONFIG_STRING && is_model_config(path)) {
        return add_file(adding, path, &node->value);
    }
    if (node->left_out.source) {
        diag_warning(context->diag, node->left_out,
                     "groups in lists are no configuration; this one is left out of '%s'", path);
    }
    ConfigEntry *entry = arena_alloc(context->arena, sizeof *entry);
    *entry = (ConfigEntry){path, node->key_span, node->value, adding->is_optional, adding->origin};
    if (!entry->origin) {
        entry->origin = diag_place(context->arena, node->key_span);
    }
    map_set(adding->config->entries, path, entry);
    return true;
}

static bool add_members(const Adding *adding, Sym prefix, const ConfigNode *group)
{
    Interner *names = adding->config->context->names;
    bool is_good = true;
    for (const ConfigNode *member = group->first; member; member = member->next) {
        Sym path = *prefix ? intern_format(names, "%s.%s", prefix, member->key) : member->key;
        is_good = add_node(adding, path, member) && is_good;
    }
    return is_good;
}

static const ConfigNode *member_named(const ConfigNode *group, const char *key)
{
    const ConfigNode *member = group->first;
    while (member && strcmp(member->key, key) != 0) {
        member = member->next;
    }
    return member;
}

// A file that describes a whole case: its plain values, then the objects "config", "vision_config" and "text_config".
static bool add_case(const Adding *adding, const ConfigNode *root, const ConfigNode *inner)
{
    Interner *names = adding->config->context->names;
    Adding description = *adding;
    description.is_optional = true;
    bool is_good = true;
    for (const ConfigNode *member = root->first; member; member = member->next) {
        bool is_plain = !member->is_group && !member->left_out.source && member->value.kind != CONFIG_NONE;
        if (is_plain && !is_model_config(member->key)) {
            is_good = add_node(&description, member->key, member) && is_good;
        }
    }
    is_good = add_members(adding, intern(names, ""), inner) && is_good;
    for (int i = 0; i < N_MODEL_CONFIGS; i++) {
        const ConfigNode *member = member_named(root, MODEL_CONFIGS[i]);
        is_good = (!member || add_node(adding, intern(names, MODEL_CONFIGS[i]), member)) && is_good;
    }
    return is_good;
}

bool config_read(Config *config, const char *path)
{
    const ParseContext *context = config->context;
    const Source *source = source_read(context->arena, path);
    if (!source) {
        diag_error(context->diag, (Span){0}, "cannot read '%s': %s", path, strerror(errno));
        return false;
    }
    const ConfigNode *root = config_parse(context, source, 0);
    if (!root) {
        return false;
    }
    if (!root->is_group) {
        diag_error(context->diag, root->span, "expected keys and values");
        return false;
    }
    const char *slash = strrchr(path, '/');
    const char *folder = slash ? arena_copy(context->arena, path, (size_t)(slash - path)) : ".";
    Adding adding = {.config = config, .folder = folder};
    const ConfigNode *inner = member_named(root, "config");
    return inner && inner->is_group ? add_case(&adding, root, inner)
                                    : add_members(&adding, intern(context->names, ""), root);
}

// --set -----------------------------------------------------------------------------------------------------

// Length of the dotted path at the start, 0 if there is none.
static size_t path_length(const char *text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    size_t length = 0;
    for (;;) {
        size_t word = strspn(text + length, letters);
        length += word;
        if (word == 0 || text[length] != '.') {
            return word ? length : 0;
        }
        length++;
    }
}

bool config_set(Config *config, const char *assignment)
{
    const ParseContext *context = config->context;
    Source *source = arena_alloc(context->arena, sizeof *source);
    *source =
        (Source){"--set", arena_copy(context->arena, assignment, strlen(assignment)), strlen(assignment)};
    size_t length = path_length(assignment);
    if (length == 0 || assignment[length] != '=') {
        uint32_t at = (uint32_t)length;
        diag_error(context->diag, (Span){source, at, at + 1},
                   "expected key=value, for instance --set optimizer.lr=1e-4");
        return false;
    }
    const ConfigNode *parsed = config_parse(context, source, (uint32_t)length + 1);
    if (!parsed) {
        return false;
    }
    ConfigNode node = *parsed;
    node.key_span = (Span){source, 0, (uint32_t)length};
    Adding adding = {.config = config, .origin = arena_format(context->arena, "--set %s", assignment)};
    return add_node(&adding, intern_length(context->names, assignment, length), &node);
}
