// The words of the scenes: names of kinds, a composer for short texts, and the vocabulary that covers them.
//
// The vocabulary is fixed (it depends on no option and no seed), so models trained on different sets share
// it.
#pragma once

#include <stdbool.h>
#include <stdio.h>

enum { XV_N_SHAPES = 10, XV_N_COLOURS = 10, XV_N_TEXTURES = 4, XV_SHAPE_CIRCLE = 0, XV_SHAPE_RING = 6 };

typedef struct XvColourName {
    const char *name;
    double rgb[3];  // 0..1
} XvColourName;

// Ordered so that the first few are the easiest to tell apart. Texture 0 is "solid" and never said of an
// object.
extern const char *const XV_SHAPE_NAMES[XV_N_SHAPES];
extern const char *const XV_SHAPE_PLURALS[XV_N_SHAPES];
extern const XvColourName XV_COLOURS[XV_N_COLOURS];
extern const char *const XV_TEXTURE_NAMES[XV_N_TEXTURES];

// A short text; what does not fit is cut (texts are bounded by their frames, 160 characters at most).
typedef struct XvText {
    char text[200];
} XvText;

// Appends formatted text.
void xv_text_add(XvText *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Replaces the text by a frame in which the capital letters A, B, C, ... stand for parts[0], parts[1], ...
// Turns "a" into "an" before a vowel. Frames are otherwise lower-case.
void xv_text_compose(XvText *text, const char *frame, const char *const *parts);

// Makes the first letter a capital.
void xv_text_capitalise(XvText *text);

int xv_text_words(const XvText *text);

// What to say of an object, in this order: "large striped red circle". Without the shape, the noun is
// "object".
enum { XV_SAY_SIZE = 1, XV_SAY_TEXTURE = 2, XV_SAY_COLOUR = 4, XV_SAY_SHAPE = 8 };

// One entry per line: [PAD] [UNK] [CLS] [SEP] [MASK], characters, pieces, words. False when writing failed.
bool xv_scene_vocabulary_write(FILE *file);

// Number of WordPiece tokens of the text (lower-cased, punctuation split off), or -1 when a word would become
// [UNK].
int xv_scene_vocabulary_count(const char *text);
