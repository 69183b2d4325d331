// Captions and grounding texts; see scenes.h.
//
// Training flips half of the pictures without looking at the captions, so captions say left and right seldom:
// in one relation of six at most, and never in the first caption.
#include "runtime/tools/scenes.h"

#include <string.h>

void xv_say_adjectives(const XvSceneObject *object, unsigned say, XvText *text)
{
    text->text[0] = '\0';
    if (say & XV_SAY_SIZE) {
        xv_text_add(text, " %s", object->is_large ? "large" : "small");
    }
    if (say & XV_SAY_TEXTURE && object->texture > 0) {
        xv_text_add(text, " %s", XV_TEXTURE_NAMES[object->texture]);
    }
    if (say & XV_SAY_COLOUR) {
        xv_text_add(text, " %s", XV_COLOURS[object->colour].name);
    }
    if (text->text[0]) {
        memmove(text->text, text->text + 1, strlen(text->text));
    }
}

void xv_say(const XvSceneObject *object, unsigned say, XvText *text)
{
    xv_say_adjectives(object, say, text);
    const char *noun = say & XV_SAY_SHAPE ? XV_SHAPE_NAMES[object->shape] : "object";
    xv_text_add(text, "%s%s", text->text[0] ? " " : "", noun);
}

const char *xv_say_relation(XvRelation relation, XvStream *stream)
{
    static const char *const WORDS[XV_RELATION_COUNT][3] = {
        [XV_ABOVE] = {"above", "over", "higher than"},
        [XV_BELOW] = {"below", "under", "lower than"},
        [XV_LEFT] = {"left of", "to the left of", "left of"},
        [XV_RIGHT] = {"right of", "to the right of", "right of"},
        [XV_INSIDE] = {"inside", "in the middle of", "inside"},
        [XV_AROUND] = {"around", "around", "around"},
        [XV_NEAR] = {"next to", "beside", "near"},
    };
    return WORDS[relation][xv_stream_below(stream, 3)];
}

static const unsigned KIND = XV_SAY_COLOUR | XV_SAY_SHAPE;

// Two different objects.
static void draw_two(const XvScene *scene, XvStream *stream, int two[2])
{
    two[0] = (int)xv_stream_below(stream, (uint32_t)scene->n_objects);
    two[1] = (int)xv_stream_below(stream, (uint32_t)scene->n_objects - 1);
    two[1] += two[1] >= two[0];
}

static bool is_sideways(XvRelation relation)
{
    return relation == XV_LEFT || relation == XV_RIGHT;
}

// ---- captions; each maker returns false when it does not suit the scene

typedef struct CaptionDraw {
    const XvScene *scene;
    XvStream *stream;
    bool is_flip_safe;
} CaptionDraw;

typedef bool (*CaptionMaker)(const CaptionDraw *draw, XvText *caption);

// Names the object as captions do: always colour and shape, sometimes more.
static void name_object(const CaptionDraw *draw, int object, double chance, XvText *text)
{
    xv_say(&draw->scene->objects[object], xv_say_more(draw->stream, KIND, chance), text);
}

static XvRelation relation_to_say(const CaptionDraw *draw, int a, int b)
{
    XvRelation relation = xv_scene_relation(draw->scene, a, b);
    double gap = xv_scene_gap(draw->scene, a, b);
    if (is_sideways(relation)) {
        bool says_side = !draw->is_flip_safe && xv_stream_uniform(draw->stream) < 0.25;
        return says_side ? relation : gap < 0.3 ? XV_NEAR : XV_UNCLEAR;
    }
    return relation == XV_UNCLEAR && gap < 0.1 ? XV_NEAR : relation;
}

static bool make_relation(const CaptionDraw *draw, XvText *caption)
{
    static const char *const FRAMES[] = {
        "a A C a B",         "there is a A C a B",    "a A is C a B",
        "here is a A C a B", "you can see a A C a B", "the picture shows a A C a B"};
    int two[2];
    draw_two(draw->scene, draw->stream, two);
    XvRelation relation = relation_to_say(draw, two[0], two[1]);
    if (relation == XV_UNCLEAR) {
        return false;
    }
    XvText a, b;
    name_object(draw, two[0], 0.35, &a);
    name_object(draw, two[1], 0.35, &b);
    const char *parts[] = {a.text, b.text, xv_say_relation(relation, draw->stream)};
    xv_text_compose(caption, FRAMES[xv_stream_below(draw->stream, 6)], parts);
    return true;
}

static bool make_list(const CaptionDraw *draw, XvText *caption)
{
    static const char *const TWO[] = {"a A and a B", "a A with a B", "there is a A and a B",
                                      "here is a A and a B", "you can see a A and a B"};
    static const char *const THREE[] = {"a A, a B and a C", "a A with a B and a C",
                                        "there is a A, a B and a C", "here is a A, a B and a C",
                                        "you can see a A, a B and a C"};
    int32_t order[XV_SCENE_MAX_OBJECTS];
    for (int i = 0; i < draw->scene->n_objects; i++) {
        order[i] = i;
    }
    xv_stream_shuffle(draw->stream, order, draw->scene->n_objects);
    bool has_three = draw->scene->n_objects > 2;
    XvText names[3];
    for (int i = 0; i < (has_three ? 3 : 2); i++) {
        name_object(draw, order[i], has_three ? 0.15 : 0.4, &names[i]);
    }
    const char *parts[] = {names[0].text, names[1].text, names[2].text};
    xv_text_compose(caption, (has_three ? THREE : TWO)[xv_stream_below(draw->stream, 5)], parts);
    return true;
}

static bool make_between(const CaptionDraw *draw, XvText *caption)
{
    static const char *const FRAMES[] = {"a A between a B and a C", "there is a A between a B and a C",
                                         "a A is between a B and a C"};
    int n = draw->scene->n_objects;
    for (int code = 0; code < n * n * n; code++) {
        int a = code / (n * n), b = code / n % n, c = code % n;
        if (a == b || a == c || b == c || !xv_scene_is_between(draw->scene, a, b, c)) {
            continue;
        }
        XvText names[3];
        name_object(draw, a, 0.2, &names[0]);
        name_object(draw, b, 0.1, &names[1]);
        name_object(draw, c, 0.1, &names[2]);
        bool is_swapped = xv_stream_uniform(draw->stream) < 0.5;
        const char *parts[] = {names[0].text, names[is_swapped ? 2 : 1].text, names[is_swapped ? 1 : 2].text};
        xv_text_compose(caption, FRAMES[xv_stream_below(draw->stream, 3)], parts);
        return true;
    }
    return false;
}

// "at the top" and so on, or NULL when the object lies nowhere in particular.
static const char *height_of(const XvSceneObject *object)
{
    return object->y < 0.36 ? "at the top" : object->y > 0.64 ? "at the bottom" : NULL;
}

static bool make_places(const CaptionDraw *draw, XvText *caption)
{
    int two[2];
    draw_two(draw->scene, draw->stream, two);
    const char *place_a = height_of(&draw->scene->objects[two[0]]);
    const char *place_b = height_of(&draw->scene->objects[two[1]]);
    if (!place_a || !place_b || place_a == place_b) {
        return false;
    }
    XvText a, b;
    name_object(draw, two[0], 0.15, &a);
    name_object(draw, two[1], 0.15, &b);
    const char *parts[] = {a.text, b.text, place_a, place_b};
    xv_text_compose(caption, "a A C and a B D", parts);
    return true;
}

static bool make_background(const CaptionDraw *draw, XvText *caption)
{
    double level = 0;
    for (int c = 0; c < 6; c++) {
        level += draw->scene->ground_rgb[c / 3][c % 3] / 6;
    }
    if (level > 0.35 && level < 0.7) {
        return false;
    }
    int two[2];
    draw_two(draw->scene, draw->stream, two);
    XvText a, b;
    name_object(draw, two[0], 0.1, &a);
    name_object(draw, two[1], 0.1, &b);
    const char *parts[] = {a.text, b.text, level < 0.5 ? "dark" : "light"};
    xv_text_compose(caption, "a A and a B on a C background", parts);
    return true;
}

static void make_caption(const CaptionDraw *draw, XvText *caption)
{
    // One maker per chance of a tenth: relations first.
    static const CaptionMaker MAKERS[10] = {make_relation, make_relation,  make_relation, make_relation,
                                            make_relation, make_list,      make_list,     make_between,
                                            make_places,   make_background};
    for (;;) {
        CaptionMaker maker = MAKERS[xv_stream_below(draw->stream, 10)];
        if (maker(draw, caption) && xv_text_words(caption) <= XV_CAPTION_WORDS) {
            return;
        }
    }
}

void xv_scene_captions(const XvScene *scene, XvText captions[XV_SCENE_CAPTIONS])
{
    XvStream stream = xv_scene_stream(scene, XV_FOR_CAPTIONS);
    for (int i = 0; i < XV_SCENE_CAPTIONS;) {
        CaptionDraw draw = {.scene = scene, .stream = &stream, .is_flip_safe = i == 0};
        make_caption(&draw, &captions[i]);
        bool is_new = true;
        for (int j = 0; j < i; j++) {
            is_new &= strcmp(captions[i].text, captions[j].text) != 0;
        }
        i += is_new;
    }
}

// ---- grounding

// Whether another object agrees with a in everything said.
static bool agrees(const XvScene *scene, int a, int other, unsigned say)
{
    XvText text_a, text_other;
    xv_say(&scene->objects[a], say, &text_a);
    xv_say(&scene->objects[other], say, &text_other);
    return strcmp(text_a.text, text_other.text) == 0;
}

bool xv_scene_relation_identifies(const XvScene *scene, int a, unsigned say, int b)
{
    XvRelation relation = xv_scene_relation(scene, a, b);
    if (relation == XV_UNCLEAR) {
        return false;
    }
    for (int i = 0; i < scene->n_objects; i++) {
        if (i == a || i == b || !agrees(scene, a, i, say)) {
            continue;
        }
        XvRelation other = xv_scene_relation(scene, i, b);
        if (other == relation || other == XV_UNCLEAR) {
            return false;
        }
    }
    return true;
}

static bool express_by_relation(const XvScene *scene, int object, XvStream *stream, XvText *text)
{
    int other = (int)xv_stream_below(stream, (uint32_t)scene->n_objects - 1);
    other += other >= object;
    unsigned say = xv_stream_uniform(stream) < 0.7 ? XV_SAY_SHAPE : 0;
    if (!xv_scene_relation_identifies(scene, object, say, other)) {
        return false;
    }
    XvText a, b;
    xv_say(&scene->objects[object], say, &a);
    xv_say(&scene->objects[other], KIND, &b);
    const char *relation = xv_say_relation(xv_scene_relation(scene, object, other), stream);
    const char *parts[] = {a.text, b.text, relation};
    xv_text_compose(text, xv_stream_uniform(stream) < 0.5 ? "A C the B" : "the A C the B", parts);
    return true;
}

// How far the object lies to one side (0 left, 1 right, 2 top, 3 bottom).
static double sideness(const XvSceneObject *object, int side)
{
    double position = side < 2 ? object->x : object->y;
    return side % 2 ? position : 1 - position;
}

static bool express_by_side(const XvScene *scene, int object, XvStream *stream, XvText *text)
{
    static const char *const FRAMES[4] = {"A on the left", "A on the right", "A at the top",
                                          "A at the bottom"};
    int side = (int)xv_stream_below(stream, 4);
    unsigned say = xv_stream_uniform(stream) < 0.6 ? XV_SAY_SHAPE : XV_SAY_COLOUR;
    double own = sideness(&scene->objects[object], side);
    bool is_first = own > 0.58;
    for (int i = 0; i < scene->n_objects; i++) {
        bool competes = i != object && agrees(scene, object, i, say);
        is_first &= !competes || own > sideness(&scene->objects[i], side) + 0.15;
    }
    if (!is_first) {
        return false;
    }
    XvText a;
    xv_say(&scene->objects[object], say, &a);
    const char *parts[] = {a.text};
    xv_text_compose(text, FRAMES[side], parts);
    return true;
}

static void express_by_looks(const XvScene *scene, int object, XvStream *stream, XvText *text)
{
    static const unsigned SAYS[] = {XV_SAY_SHAPE, XV_SAY_COLOUR, XV_SAY_SHAPE | XV_SAY_SIZE, KIND, KIND};
    unsigned say = xv_say_more(stream, SAYS[xv_stream_below(stream, 5)], 0.25);
    say = xv_scene_identifies(scene, object, say) ? say : KIND;
    XvText a;
    xv_say(&scene->objects[object], say, &a);
    const char *parts[] = {a.text};
    xv_text_compose(text, xv_stream_uniform(stream) < 0.5 ? "A" : "the A", parts);
}

void xv_scene_expression(const XvScene *scene, int object, XvStream *stream, XvText *text)
{
    double way = xv_stream_uniform(stream);
    if (way < 0.3 && express_by_relation(scene, object, stream, text)) {
        return;
    }
    if (way >= 0.3 && way < 0.5 && express_by_side(scene, object, stream, text)) {
        return;
    }
    express_by_looks(scene, object, stream, text);
}
