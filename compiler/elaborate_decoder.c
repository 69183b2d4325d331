// Decoders: which entry points a search for sequences runs, and with which settings. What the entry points must look
// like is written at XvDecoder in runtime/program.h and checked here, so that the runtime can rely on it.
#include "compiler/elaborate_entry.h"

#include "compiler/base/vec.h"

#include <string.h>

typedef struct DecoderBuilder {
    Elaboration *e;
    const AstItem *item;
    Decoder decoder;
    const Entry *prefill, *step;
    bool is_good;
} DecoderBuilder;

typedef enum SettingKind { SETTING_TEXT, SETTING_INTEGER } SettingKind;

static const struct {
    const char *name;
    SettingKind kind;
    bool is_optional;
} SETTINGS[] = {
    {"method", SETTING_TEXT, false},       {"prefill", SETTING_TEXT, false},
    {"step", SETTING_TEXT, false},         {"max_length", SETTING_INTEGER, false},
    {"min_length", SETTING_INTEGER, true}, {"end_id", SETTING_INTEGER, false},
    {"pad_id", SETTING_INTEGER, false},
};

enum { N_SETTINGS = sizeof SETTINGS / sizeof *SETTINGS };

// Settings ----------------------------------------------------------------------------------------------------------

static const AstItem *setting_named(const AstItem *item, const char *name)
{
    for (const AstItem *setting = item->items.first; setting; setting = setting->next) {
        if (strcmp(setting->name.text, name) == 0 && setting->value) {
            return setting;
        }
    }
    return NULL;
}

static void check_setting_names(DecoderBuilder *builder)
{
    const char *known[N_SETTINGS];
    for (int i = 0; i < N_SETTINGS; i++) {
        known[i] = SETTINGS[i].name;
    }
    for (const AstItem *setting = builder->item->items.first; setting; setting = setting->next) {
        bool is_known = false;
        for (int i = 0; i < N_SETTINGS; i++) {
            is_known |= strcmp(known[i], setting->name.text) == 0;
        }
        if (!is_known) {
            const char *nearest = diag_nearest(setting->name.text, known, N_SETTINGS);
            diag_error(builder->e->elab.diag, setting->name.span, "a decoder has no setting '%s'%s%s%s",
                       setting->name.text, nearest ? "; did you mean '" : "", nearest ? nearest : "",
                       nearest ? "'?" : "");
            builder->is_good = false;
        }
    }
}

// The value of a setting, of the kind it has; `absent` when there is none. Messages clear is_good.
static Value setting_value(DecoderBuilder *builder, int index, Value absent)
{
    Elab *elab = &builder->e->elab;
    const AstItem *setting = setting_named(builder->item, SETTINGS[index].name);
    if (!setting) {
        if (!SETTINGS[index].is_optional) {
            diag_error(elab->diag, builder->item->head, "decoder '%s' needs a value for '%s'",
                       builder->item->name.text, SETTINGS[index].name);
            builder->is_good = false;
        }
        return absent;
    }
    Value value = elab_expr(elab, builder->e->task_scope, setting->value);
    ValueKind wanted = SETTINGS[index].kind == SETTING_TEXT ? VALUE_STRING : VALUE_INT;
    if (value.kind == wanted) {
        return value;
    }
    if (value.kind != VALUE_ERROR) {
        diag_error(elab->diag, setting->value->span, "'%s' must be %s, got %s", SETTINGS[index].name,
                   wanted == VALUE_STRING ? "text" : "an integer", value_kind_name(value.kind));
    }
    builder->is_good = false;
    return absent;
}

static Span setting_place(const DecoderBuilder *builder, const char *name)
{
    const AstItem *setting = setting_named(builder->item, name);
    return setting ? setting->value->span : builder->item->head;
}

static void read_method(DecoderBuilder *builder, const char *text)
{
    static const char *const names[] = {
        [DECODE_GREEDY] = "greedy", [DECODE_SAMPLE] = "sample", [DECODE_BEAM] = "beam"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(names[i], text) == 0) {
            builder->decoder.method = (DecodeMethod)i;
            return;
        }
    }
    diag_error(builder->e->elab.diag, setting_place(builder, "method"),
               "unknown method '%s'; there are greedy, sample and beam", text);
    builder->is_good = false;
}

static const Entry *entry_named(DecoderBuilder *builder, const char *setting, const char *name)
{
    const Elaboration *e = builder->e;
    const char *known[64];
    int n_known = 0;
    for (int i = 0; i < e->n_entries; i++) {
        if (strcmp(e->entries[i].name, name) == 0) {
            return &e->entries[i];
        }
        if (n_known < 64) {
            known[n_known++] = e->entries[i].name;
        }
    }
    const char *nearest = diag_nearest(name, known, n_known);
    diag_error(e->elab.diag, setting_place(builder, setting), "task '%s' has no entry '%s'%s%s%s",
               e->task->name.text, name, nearest ? "; did you mean '" : "", nearest ? nearest : "",
               nearest ? "'?" : "");
    builder->is_good = false;
    return NULL;
}

static void read_settings(DecoderBuilder *builder)
{
    Value nothing = value_string("", builder->item->head);
    Value zero = value_int(0, builder->item->head);
    check_setting_names(builder);
    Value values[N_SETTINGS];
    for (int i = 0; i < N_SETTINGS; i++) {
        values[i] = setting_value(builder, i, SETTINGS[i].kind == SETTING_TEXT ? nothing : zero);
    }
    if (!builder->is_good) {
        return;
    }
    read_method(builder, values[0].text);
    builder->prefill = entry_named(builder, "prefill", values[1].text);
    builder->step = entry_named(builder, "step", values[2].text);
    builder->decoder.max_length = values[3].integer;
    builder->decoder.min_length = values[4].integer;
    builder->decoder.end_id = values[5].integer;
    builder->decoder.pad_id = values[6].integer;
}

// Entry points ------------------------------------------------------------------------------------------------------

static const GraphInput *input_named(const Entry *entry, const char *name)
{
    for (int i = 0; i < entry->forward->n_inputs; i++) {
        if (strcmp(entry->forward->inputs[i].name, name) == 0) {
            return &entry->forward->inputs[i];
        }
    }
    return NULL;
}

static const Node *output_named(const Entry *entry, const char *name)
{
    for (int i = 0; i < entry->forward->n_outputs; i++) {
        if (strcmp(entry->forward->outputs[i].name, name) == 0) {
            return &entry->forward->nodes[entry->forward->outputs[i].node];
        }
    }
    return NULL;
}

// Where messages about an entry point go.
static void refuse(DecoderBuilder *builder, Span place, const char *message)
{
    diag_error(builder->e->elab.diag, place, "%s", message);
    diag_note(builder->e->elab.diag, builder->item->head, "decoder '%s' is declared here",
              builder->item->name.text);
    builder->is_good = false;
}

static const GraphInput *needed_input(DecoderBuilder *builder, const Entry *entry, const char *name, int rank)
{
    const GraphInput *input = input_named(entry, name);
    if (input && input->dtype == DTYPE_I32 && input->shape.rank == rank) {
        return input;
    }
    refuse(builder, input ? input->span : entry->span,
           arena_format(builder->e->elab.arena,
                        "entry '%s' of a decoder needs an input '%s' of integers with %d dimension%s",
                        entry->name, name, rank, rank == 1 ? "" : "s"));
    return NULL;
}

static const Node *needed_logits(DecoderBuilder *builder, const Entry *entry, int64_t rows)
{
    const Node *logits = output_named(entry, "logits");
    if (logits && logits->dtype == DTYPE_F32 && logits->shape.rank == 2 && logits->shape.dim[0] == rows) {
        return logits;
    }
    refuse(builder, logits ? logits->span : entry->span,
           arena_format(builder->e->elab.arena,
                        "entry '%s' of a decoder needs an output 'logits' [%lld, words]", entry->name,
                        (long long)rows));
    return NULL;
}

// Whether an output of step, an input of step and an output of prefill are one cache.
static bool is_cache(const DecoderBuilder *builder, const Node *added, const GraphInput *held,
                     const Node *first)
{
    int64_t items = input_named(builder->prefill, "prompt_ids")->shape.dim[0];
    int64_t prompt = input_named(builder->prefill, "prompt_ids")->shape.dim[1];
    int64_t rows = input_named(builder->step, "tokens")->shape.dim[0];
    const Shape *shape = &held->shape;
    if (shape->rank != 5 || shape->dim[1] != rows || shape->dim[3] < builder->decoder.max_length - 1) {
        return false;
    }
    Shape wanted = *shape;
    wanted.dim[3] = 1;
    bool is_good = shape_equal(&wanted, &added->shape);
    wanted.dim[1] = items;
    wanted.dim[3] = prompt;
    return is_good && shape_equal(&wanted, &first->shape) && added->dtype == held->dtype;
}

static void check_memory(DecoderBuilder *builder, const GraphInput *held)
{
    Arena *arena = builder->e->elab.arena;
    const Node *first = output_named(builder->prefill, held->name);
    const Node *added = output_named(builder->step, held->name);
    if (!first) {
        refuse(builder, held->span,
               arena_format(arena, "entry '%s' has no output '%s' that step could go on with",
                            builder->prefill->name, held->name));
    } else if (first->dtype != held->dtype || held->dtype == DTYPE_BOOL) {
        refuse(builder, held->span,
               arena_format(arena, "'%s' is %s here and %s in entry '%s'", held->name,
                            dtype_name(held->dtype), dtype_name(first->dtype), builder->prefill->name));
    } else if (added && !is_cache(builder, added, held, first)) {
        refuse(builder, held->span,
               arena_format(
                   arena,
                   "'%s' is no cache [layers, rows, heads, places, width]: it holds %s, entry '%s' gives %s, "
                   "a step %s; it needs %lld places",
                   held->name, shape_text(arena, &held->shape), builder->prefill->name,
                   shape_text(arena, &first->shape), shape_text(arena, &added->shape),
                   (long long)builder->decoder.max_length - 1));
    } else if (!added && !shape_equal(&held->shape, &first->shape)) {
        refuse(builder, held->span,
               arena_format(arena, "'%s' is %s here and %s in entry '%s'", held->name,
                            shape_text(arena, &held->shape), shape_text(arena, &first->shape),
                            builder->prefill->name));
    }
}

static void check_rows(DecoderBuilder *builder, int64_t items, int64_t rows)
{
    if (rows % items != 0) {
        refuse(builder, input_named(builder->step, "tokens")->span,
               arena_format(builder->e->elab.arena,
                            "%lld rows are no multiple of the %lld items of entry '%s'", (long long)rows,
                            (long long)items, builder->prefill->name));
    } else if (builder->decoder.method == DECODE_GREEDY && rows != items) {
        refuse(builder, setting_place(builder, "step"), "greedy decoding has one row for every item");
    }
}

static void check_words(DecoderBuilder *builder, const Node *first, const Node *next, int64_t prompt)
{
    Arena *arena = builder->e->elab.arena;
    int64_t words = first->shape.dim[1];
    const Decoder *decoder = &builder->decoder;
    if (next->shape.dim[1] != words) {
        refuse(builder, next->span,
               arena_format(arena, "step scores %lld words, prefill %lld", (long long)next->shape.dim[1],
                            (long long)words));
    } else if (decoder->end_id < 0 || decoder->end_id >= words || decoder->pad_id < 0 ||
               decoder->pad_id >= words) {
        refuse(
            builder,
            setting_place(builder, decoder->end_id < 0 || decoder->end_id >= words ? "end_id" : "pad_id"),
            arena_format(arena, "this token is not among the %lld words that are scored", (long long)words));
    } else if (decoder->max_length <= prompt) {
        refuse(builder, setting_place(builder, "max_length"),
               arena_format(arena, "a maximal length of %lld leaves no room behind a prompt of %lld",
                            (long long)decoder->max_length, (long long)prompt));
    }
}

static void check_entries(DecoderBuilder *builder)
{
    const GraphInput *prompt = needed_input(builder, builder->prefill, "prompt_ids", 2);
    const GraphInput *tokens = needed_input(builder, builder->step, "tokens", 1);
    const GraphInput *position = needed_input(builder, builder->step, "position", 0);
    if (!prompt || !tokens || !position) {
        return;
    }
    check_rows(builder, prompt->shape.dim[0], tokens->shape.dim[0]);
    const Node *first = needed_logits(builder, builder->prefill, prompt->shape.dim[0]);
    const Node *next = needed_logits(builder, builder->step, tokens->shape.dim[0]);
    if (!builder->is_good) {
        return;
    }
    check_words(builder, first, next, prompt->shape.dim[1]);
    for (int i = 0; i < builder->step->forward->n_inputs; i++) {
        const GraphInput *input = &builder->step->forward->inputs[i];
        if (input != tokens && input != position) {
            check_memory(builder, input);
        }
    }
}

static void check_name(DecoderBuilder *builder)
{
    const Elaboration *e = builder->e;
    for (int i = 0; i < e->n_decoders; i++) {
        if (e->decoders[i].name == builder->decoder.name) {
            diag_error(e->elab.diag, builder->item->name.span, "decoder '%s' is declared twice",
                       builder->decoder.name);
            diag_note(e->elab.diag, e->decoders[i].span, "the first declaration is here");
            builder->is_good = false;
        }
    }
}

void elaborate_decoder(Elaboration *e, const AstItem *item)
{
    DecoderBuilder builder = {.e = e, .item = item, .is_good = true};
    builder.decoder = (Decoder){.name = item->name.text, .span = item->head};
    check_name(&builder);
    read_settings(&builder);
    if (!builder.is_good) {
        return;
    }
    builder.decoder.prefill = builder.prefill->name;
    builder.decoder.step = builder.step->name;
    check_entries(&builder);
    VEC_PUSH(e->elab.arena, e->decoders, e->n_decoders, e->decoder_capacity, builder.decoder);
}
