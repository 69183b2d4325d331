// A task under construction, and its entry points: between elaborate.c and elaborate_entry.c.
#pragma once

#include "compiler/elab.h"
#include "compiler/elaborate.h"

typedef struct Elaboration {
    Elab elab;
    const ElaborateOptions *options;
    const AstItem *task;  // with the items of all its blocks
    Scope *task_scope;
    Entry *entries;
    int n_entries, entry_capacity;
    Value no_decay;
    Decoder *decoders;
    int n_decoders, decoder_capacity;
    LoadRule *load_rules;
    int n_load_rules, load_rule_capacity;
    bool is_optimizer_known;
    Optimizer optimizer;
    int n_fitting;  // entry points that the given shapes fit
    Span misfit;    // why one does not
    const char *misfit_text;
} Elaboration;

// Builds the forward graph of an entry of the task and appends it to e->entries. An entry that minimises something is a
// training entry; one that does not is an evaluation entry, which has no probability and records no traces.
void elaborate_entry(Elaboration *e, const AstItem *item);

// Reads a decoder of the task, whose entries are all elaborated, and appends it to e->decoders (elaborate_decoder.c).
void elaborate_decoder(Elaboration *e, const AstItem *item);
// Appends the rules of a `source` block to e->load_rules.
void elaborate_source(Elaboration *e, const AstItem *item);
