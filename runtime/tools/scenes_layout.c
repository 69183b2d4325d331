// Drawing of scenes: kinds, places, backgrounds, and what may not recur between splits; see scenes.h.
//
// A draw that does not work out (no room, too little contrast, a combination that is taken) is repeated with
// the next attempt number in its key, so a scene depends on nothing but the seed and the scenes drawn before
// it.
#include "runtime/tools/scenes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const SPLIT_NAMES[XV_SPLIT_COUNT] = {"train", "val", "test"};
// Numbers of the three splits never meet, so a picture's number is an id over the whole set.
static const int FIRST_NUMBER[XV_SPLIT_COUNT] = {1, 800001, 900001};

const char *xv_split_name(XvSplit split)
{
    return SPLIT_NAMES[split];
}

XvStream xv_scene_stream(const XvScene *scene, XvScenePurpose purpose)
{
    return xv_stream(xv_key(scene->key, (uint64_t)purpose));
}

// ---- relations

XvRelation xv_scene_relation(const XvScene *scene, int a, int b)
{
    const XvSceneObject *first = &scene->objects[a], *second = &scene->objects[b];
    if (first->container == b) {
        return XV_INSIDE;
    }
    if (second->container == a) {
        return XV_AROUND;
    }
    double dx = first->x - second->x, dy = first->y - second->y;
    double across = fabs(dx), along = fabs(dy);
    if (fmax(across, along) < 0.15 || fmax(across, along) < 1.4 * fmin(across, along)) {
        return XV_UNCLEAR;
    }
    if (along > across) {
        return dy < 0 ? XV_ABOVE : XV_BELOW;
    }
    return dx < 0 ? XV_LEFT : XV_RIGHT;
}

XvRelation xv_relation_inverse(XvRelation relation)
{
    static const XvRelation INVERSE[XV_RELATION_COUNT] = {
        [XV_UNCLEAR] = XV_UNCLEAR, [XV_ABOVE] = XV_BELOW,   [XV_BELOW] = XV_ABOVE,   [XV_LEFT] = XV_RIGHT,
        [XV_RIGHT] = XV_LEFT,      [XV_INSIDE] = XV_AROUND, [XV_AROUND] = XV_INSIDE, [XV_NEAR] = XV_NEAR,
    };
    return INVERSE[relation];
}

double xv_scene_gap(const XvScene *scene, int a, int b)
{
    const XvSceneObject *first = &scene->objects[a], *second = &scene->objects[b];
    return hypot(first->x - second->x, first->y - second->y) - first->radius - second->radius;
}

bool xv_scene_is_between(const XvScene *scene, int a, int b, int c)
{
    const XvSceneObject *middle = &scene->objects[a], *from = &scene->objects[b], *to = &scene->objects[c];
    double dx = to->x - from->x, dy = to->y - from->y;
    double px = middle->x - from->x, py = middle->y - from->y;
    double squared = dx * dx + dy * dy + 1e-9;
    double along = (px * dx + py * dy) / squared;
    double aside = fabs(px * dy - py * dx) / sqrt(squared);
    return along > 0.25 && along < 0.75 && aside < 0.11;
}

bool xv_scene_identifies(const XvScene *scene, int object, unsigned say)
{
    const XvSceneObject *said = &scene->objects[object];
    for (int i = 0; i < scene->n_objects; i++) {
        const XvSceneObject *other = &scene->objects[i];
        bool differs = (say & XV_SAY_SHAPE && other->shape != said->shape) ||
                       (say & XV_SAY_COLOUR && other->colour != said->colour) ||
                       (say & XV_SAY_SIZE && other->is_large != said->is_large) ||
                       (say & XV_SAY_TEXTURE && said->texture > 0 && other->texture != said->texture);
        if (i != object && !differs) {
            return false;
        }
    }
    return true;
}

unsigned xv_say_more(XvStream *stream, unsigned say, double chance)
{
    say |= xv_stream_uniform(stream) < chance ? XV_SAY_SIZE : 0;
    say |= xv_stream_uniform(stream) < chance ? XV_SAY_TEXTURE : 0;
    return say;
}

// ---- objects

static bool has_kind(const XvScene *scene, int n_objects, int shape, int colour)
{
    for (int i = 0; i < n_objects; i++) {
        if (scene->objects[i].shape == shape && scene->objects[i].colour == colour) {
            return true;
        }
    }
    return false;
}

// Colour and shape together are unique in a scene; one of them is often shared, so that texts must name both.
static void draw_kind(const XvScenesOptions *options, XvScene *scene, int object, XvStream *stream)
{
    XvSceneObject *drawn = &scene->objects[object];
    do {
        drawn->shape = (int)xv_stream_below(stream, (uint32_t)options->n_shapes);
        drawn->colour = (int)xv_stream_below(stream, (uint32_t)options->n_colours);
        double shared = xv_stream_uniform(stream);
        if (object > 0 && shared < 0.5) {
            const XvSceneObject *other = &scene->objects[xv_stream_below(stream, (uint32_t)object)];
            drawn->shape = shared < 0.3 ? other->shape : drawn->shape;
            drawn->colour = shared >= 0.3 ? other->colour : drawn->colour;
        }
    } while (has_kind(scene, object, drawn->shape, drawn->colour));
    bool is_solid = xv_stream_uniform(stream) < 0.4;
    drawn->texture = is_solid ? 0 : (int)xv_stream_below(stream, (uint32_t)options->n_textures);
    drawn->is_large = xv_stream_uniform(stream) < 0.5;
}

static void draw_extent(XvScene *scene, int object, XvStream *stream)
{
    XvSceneObject *drawn = &scene->objects[object];
    double scale = sqrt(3.0 / scene->n_objects);  // together they cover the same share of the picture
    double spread = xv_stream_uniform(stream);
    drawn->radius = scale * (drawn->is_large ? 0.19 + 0.04 * spread : 0.105 + 0.02 * spread);
    double turn = 2 * xv_stream_uniform(stream) - 1;
    bool is_round = drawn->shape == XV_SHAPE_CIRCLE || drawn->shape == XV_SHAPE_RING;
    drawn->angle = is_round ? 0 : 0.2 * turn;
}

static bool has_room(const XvScene *scene, int object)
{
    const XvSceneObject *placed = &scene->objects[object];
    double margin = placed->radius * 1.12 + 0.01;
    if (placed->x < margin || placed->x > 1 - margin || placed->y < margin || placed->y > 1 - margin) {
        return false;
    }
    for (int i = 0; i < object; i++) {
        if (xv_scene_gap(scene, object, i) < 0.015) {
            return false;
        }
    }
    return true;
}

// Puts the object into the hole of an earlier ring.
static void place_inside(XvScene *scene, int object, int ring)
{
    XvSceneObject *placed = &scene->objects[object];
    const XvSceneObject *around = &scene->objects[ring];
    placed->container = ring;
    placed->is_large = false;
    placed->radius = around->radius * 0.47;
    placed->x = around->x;
    placed->y = around->y;
}

static int find_free_ring(const XvScene *scene, int object)
{
    for (int i = 0; i < object; i++) {
        const XvSceneObject *ring = &scene->objects[i];
        bool is_taken = false;
        for (int j = 0; j < object; j++) {
            is_taken |= scene->objects[j].container == i;
        }
        if (ring->shape == XV_SHAPE_RING && ring->is_large && !is_taken) {
            return i;
        }
    }
    return -1;
}

// The arrangement makes clear relations common: half of the scenes start with one object above the other.
static bool suits_arrangement(const XvScene *scene, int object, double arrangement)
{
    if (object != 1) {
        return true;
    }
    XvRelation relation = xv_scene_relation(scene, 0, 1);
    bool is_vertical = relation == XV_ABOVE || relation == XV_BELOW;
    bool is_horizontal = relation == XV_LEFT || relation == XV_RIGHT;
    return arrangement < 0.5 ? is_vertical : arrangement < 0.75 ? is_horizontal : true;
}

static bool place_object(XvScene *scene, int object, double arrangement, XvStream *stream)
{
    XvSceneObject *placed = &scene->objects[object];
    placed->container = -1;
    draw_extent(scene, object, stream);
    int ring = find_free_ring(scene, object);
    bool fits_in_ring = scene->n_objects <= 3 && placed->shape != XV_SHAPE_RING;
    if (ring >= 0 && fits_in_ring && xv_stream_uniform(stream) < 0.5) {
        place_inside(scene, object, ring);
        return true;
    }
    for (int attempt = 0; attempt < 60; attempt++) {
        placed->x = xv_stream_uniform(stream);
        placed->y = xv_stream_uniform(stream);
        if (has_room(scene, object) && suits_arrangement(scene, object, arrangement)) {
            return true;
        }
    }
    return false;
}

// ---- backgrounds

// A greyish tone: colours of objects must stay the only colours.
static void draw_tone(XvStream *stream, double rgb[3])
{
    double level = 0.14 + 0.76 * xv_stream_uniform(stream);
    for (int c = 0; c < 3; c++) {
        rgb[c] = level + 0.12 * (xv_stream_uniform(stream) - 0.5);
    }
}

static double contrast(const XvScene *scene)
{
    double least = 9;
    for (int i = 0; i < scene->n_objects; i++) {
        const double *rgb = XV_COLOURS[scene->objects[i].colour].rgb;
        for (int tone = 0; tone < 2; tone++) {
            double squared = 0;
            for (int c = 0; c < 3; c++) {
                double difference = rgb[c] - scene->ground_rgb[tone][c];
                squared += difference * difference;
            }
            least = fmin(least, sqrt(squared));
        }
    }
    return least;
}

static bool draw_ground(const XvScenesOptions *options, XvScene *scene, XvStream *stream)
{
    uint32_t kinds = options->has_plain_backgrounds ? 1 : XV_GROUND_COUNT;
    scene->ground = (XvGround)xv_stream_below(stream, kinds);
    bool is_pattern = scene->ground == XV_GROUND_STRIPES || scene->ground == XV_GROUND_DOTS;
    double reach = is_pattern ? 0.22 : 0.6;  // soft patterns stay softer than the textures of objects
    for (int attempt = 0; attempt < 60; attempt++) {
        double far[3];
        draw_tone(stream, scene->ground_rgb[0]);
        draw_tone(stream, far);
        for (int c = 0; c < 3; c++) {
            double near = scene->ground_rgb[0][c];
            scene->ground_rgb[1][c] =
                scene->ground == XV_GROUND_PLAIN ? near : near + reach * (far[c] - near);
        }
        if (contrast(scene) > 0.34) {
            return true;
        }
    }
    return false;
}

static bool draw_scene(const XvScenesOptions *options, XvScene *scene)
{
    XvStream stream = xv_stream(scene->key);
    scene->n_shapes = options->n_shapes;
    scene->n_colours = options->n_colours;
    uint32_t choices = (uint32_t)(options->max_objects - options->min_objects + 1);
    scene->n_objects = options->min_objects + (int)xv_stream_below(&stream, choices);
    int kinds = options->n_shapes * options->n_colours;
    scene->n_objects = scene->n_objects < kinds ? scene->n_objects : kinds;
    double arrangement = xv_stream_uniform(&stream);
    for (int i = 0; i < scene->n_objects; i++) {
        draw_kind(options, scene, i, &stream);
        if (!place_object(scene, i, arrangement, &stream)) {
            return false;
        }
    }
    for (int i = 0; i < scene->n_objects; i++) {
        XvOutline outline = xv_outline(&scene->objects[i], scene->pixels);
        scene->objects[i].box = xv_outline_box(&outline, scene->pixels);
    }
    return draw_ground(options, scene, &stream);
}

// ---- what is taken: a hash set of 64-bit keys

typedef struct KeySet {
    uint64_t *slots;  // 0 marks a free one
    size_t mask;      // slots - 1, a power of two less one
} KeySet;

static bool key_set_has(const KeySet *set, uint64_t key)
{
    size_t at = key & set->mask;
    while (set->slots[at] && set->slots[at] != key) {
        at = (at + 1) & set->mask;
    }
    return set->slots[at] == key;
}

static void key_set_add(KeySet *set, uint64_t key)
{
    size_t at = key & set->mask;
    while (set->slots[at] && set->slots[at] != key) {
        at = (at + 1) & set->mask;
    }
    set->slots[at] = key;
}

static int compare_ints(const void *a, const void *b)
{
    int left = *(const int *)a, right = *(const int *)b;
    return (left > right) - (left < right);
}

enum { KEY_COMBINATION = 1, KEY_KINDS = 2, KEY_PAIR = 3 };

// A key of the objects regardless of their order; with details, size and texture count too.
static uint64_t combination_key(const XvScene *scene, bool has_details)
{
    int codes[XV_SCENE_MAX_OBJECTS];
    for (int i = 0; i < scene->n_objects; i++) {
        const XvSceneObject *object = &scene->objects[i];
        int details = has_details ? object->texture * 2 + object->is_large : 0;
        codes[i] = (object->shape * XV_N_COLOURS + object->colour) * 8 + details;
    }
    qsort(codes, (size_t)scene->n_objects, sizeof codes[0], compare_ints);
    uint64_t key = has_details ? KEY_COMBINATION : xv_key(KEY_KINDS, (uint64_t)scene->split);
    for (int i = 0; i < scene->n_objects; i++) {
        key = xv_key(key, (uint64_t)codes[i]);
    }
    return key;
}

static uint64_t pair_key(const XvScene *scene, int a, int b)
{
    const XvSceneObject *first = &scene->objects[a], *second = &scene->objects[b];
    int code_a = first->shape * XV_N_COLOURS + first->colour;
    int code_b = second->shape * XV_N_COLOURS + second->colour;
    int low = code_a < code_b ? code_a : code_b, high = code_a < code_b ? code_b : code_a;
    uint64_t key = xv_key(KEY_PAIR, (uint64_t)scene->split);
    return xv_key(xv_key(key, (uint64_t)low), (uint64_t)high);
}

static bool has_known_pair(const KeySet *set, const XvScene *scene)
{
    for (int a = 0; a < scene->n_objects; a++) {
        for (int b = 0; b < a; b++) {
            if (key_set_has(set, pair_key(scene, a, b))) {
                return true;
            }
        }
    }
    return false;
}

enum { STRICT_ATTEMPTS = 100, LOOSE_ATTEMPTS = 200, ATTEMPTS = 2000 };

// Captions name two objects, so evaluation scenes should not share a pair of kinds. When kinds run short this
// is loosened in two steps; combinations never recur.
static bool is_acceptable(const KeySet *set, const XvScene *scene, int attempt)
{
    if (key_set_has(set, combination_key(scene, true))) {
        return false;
    }
    if (scene->split == XV_TRAIN) {
        return true;
    }
    if (attempt < STRICT_ATTEMPTS && has_known_pair(set, scene)) {
        return false;
    }
    return attempt >= LOOSE_ATTEMPTS || !key_set_has(set, combination_key(scene, false));
}

static void take(KeySet *set, const XvScene *scene)
{
    if (scene->split == XV_TRAIN) {
        return;  // training scenes may resemble each other
    }
    key_set_add(set, combination_key(scene, true));
    key_set_add(set, combination_key(scene, false));
    for (int a = 0; a < scene->n_objects; a++) {
        for (int b = 0; b < a; b++) {
            key_set_add(set, pair_key(scene, a, b));
        }
    }
}

static bool draw_split(const XvScenesOptions *options, XvSplit split, XvScene *scenes, KeySet *set)
{
    uint64_t key = xv_key(xv_key(options->seed, 0x5ce9e5), (uint64_t)split);
    for (int i = 0; i < options->n_scenes[split]; i++) {
        bool is_drawn = false;
        for (int attempt = 0; attempt < ATTEMPTS && !is_drawn; attempt++) {
            scenes[i] =
                (XvScene){.split = split, .number = FIRST_NUMBER[split] + i, .pixels = options->pixels};
            scenes[i].key = xv_key(xv_key(key, (uint64_t)i), (uint64_t)attempt);
            is_drawn = draw_scene(options, &scenes[i]) && is_acceptable(set, &scenes[i], attempt);
        }
        if (!is_drawn) {
            return false;
        }
        take(set, &scenes[i]);
    }
    return true;
}

static size_t slots_for(const XvScenesOptions *options)
{
    size_t held_out = (size_t)(options->n_scenes[XV_VAL] + options->n_scenes[XV_TEST]);
    size_t keys = held_out * (2 + XV_SCENE_MAX_OBJECTS * (XV_SCENE_MAX_OBJECTS - 1) / 2);
    size_t slots = 64;
    while (slots < 2 * keys) {
        slots *= 2;
    }
    return slots;
}

XvScene *xv_scenes_draw(const XvScenesOptions *options, XvError *error)
{
    const int *n = options->n_scenes;
    size_t total = (size_t)(n[XV_TRAIN] + n[XV_VAL] + n[XV_TEST]);
    size_t slots = slots_for(options);
    XvScene *scenes = calloc(total + 1, sizeof *scenes);
    KeySet set = {.slots = calloc(slots, sizeof *set.slots), .mask = slots - 1};
    if (!scenes || !set.slots) {
        xv_fail(error, "no memory for %zu scenes", total);
        free(scenes);
        free(set.slots);
        return NULL;
    }
    // Test first: it must not change when the other splits grow.
    bool is_drawn = draw_split(options, XV_TEST, scenes + n[XV_TRAIN] + n[XV_VAL], &set) &&
                    draw_split(options, XV_VAL, scenes + n[XV_TRAIN], &set) &&
                    draw_split(options, XV_TRAIN, scenes, &set);
    free(set.slots);
    if (!is_drawn) {
        free(scenes);
        xv_fail(error,
                "%d shapes, %d colours and %d textures are too few for so many different scenes; allow more "
                "kinds, more objects or fewer scenes",
                options->n_shapes, options->n_colours, options->n_textures);
        return NULL;
    }
    return scenes;
}
