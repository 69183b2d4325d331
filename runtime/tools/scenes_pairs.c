// Statements about two scenes, true or false as wanted; see scenes.h.
//
// A kind of statement is used only where both truths could have been stated about the two scenes, so that its
// wording alone says nothing about its truth. Left and right are used for the pictures only, never inside
// one: training flips each picture on its own.
#include "runtime/tools/scenes.h"

typedef struct Stating {
    const XvScene *scenes[2];  // left, right
    bool truth;
    XvStream *stream;
    XvText *sentence;
} Stating;

typedef bool (*Stater)(const Stating *stating);

static const char *const SIDES[2] = {"left", "right"};

static int below(const Stating *stating, int bound)
{
    return (int)xv_stream_below(stating->stream, (uint32_t)bound);
}

static void state(const Stating *stating, const char *frame, const char *const *parts)
{
    xv_text_compose(stating->sentence, frame, parts);
    xv_text_capitalise(stating->sentence);
    xv_text_add(stating->sentence, ".");
}

// A kind of thing that a picture may contain; -1 leaves shape or colour open.
typedef struct Kind {
    int shape, colour;
} Kind;

static int count_kind(const XvScene *scene, Kind kind)
{
    int count = 0;
    for (int i = 0; i < scene->n_objects; i++) {
        bool has_shape = kind.shape < 0 || scene->objects[i].shape == kind.shape;
        bool has_colour = kind.colour < 0 || scene->objects[i].colour == kind.colour;
        count += has_shape && has_colour;
    }
    return count;
}

static void name_kind(Kind kind, XvText *name)
{
    XvSceneObject object = {.shape = kind.shape, .colour = kind.colour};
    unsigned say = (kind.shape >= 0 ? XV_SAY_SHAPE : 0) | (kind.colour >= 0 ? XV_SAY_COLOUR : 0);
    xv_say(&object, say, name);
}

// The kind of one object: shape, colour, or both.
static Kind draw_kind(const Stating *stating, const XvScene *scene)
{
    const XvSceneObject *object = &scene->objects[below(stating, scene->n_objects)];
    int detail = below(stating, 4);
    return (Kind){.shape = detail == 0 ? -1 : object->shape, .colour = detail == 1 ? -1 : object->colour};
}

// "The left image contains a red circle": what is false of one picture is true of the other.
static bool state_contents(const Stating *stating)
{
    int side = below(stating, 2);
    const XvScene *scene = stating->scenes[side], *other = stating->scenes[1 - side];
    Kind kind = draw_kind(stating, stating->truth ? scene : other);
    bool tells_apart = (count_kind(scene, kind) > 0) != (count_kind(other, kind) > 0);
    if (!tells_apart) {
        return false;
    }
    XvText name;
    name_kind(kind, &name);
    const char *parts[] = {SIDES[side], name.text};
    state(stating, below(stating, 2) ? "the A image contains a B" : "there is a B in the A image", parts);
    return true;
}

// A shape (or colour) that both pictures or only one of them contain.
static bool find_kind(const Stating *stating, bool is_shared, Kind *found)
{
    for (int attempt = 0; attempt < 40; attempt++) {
        *found = draw_kind(stating, stating->scenes[below(stating, 2)]);
        bool in_left = count_kind(stating->scenes[0], *found) > 0;
        bool in_right = count_kind(stating->scenes[1], *found) > 0;
        if (is_shared == (in_left && in_right)) {
            return true;
        }
    }
    return false;
}

static bool state_shared(const Stating *stating)
{
    Kind shared, single;
    if (!find_kind(stating, true, &shared) || !find_kind(stating, false, &single)) {
        return false;
    }
    bool says_both = below(stating, 2) == 0;
    XvText name;
    name_kind(stating->truth == says_both ? shared : single, &name);
    const char *parts[] = {name.text};
    state(stating, says_both ? "both images contain a A" : "only one image contains a A", parts);
    return true;
}

static bool state_comparison(const Stating *stating)
{
    int difference = stating->scenes[0]->n_objects - stating->scenes[1]->n_objects;
    if (difference == 0) {
        return false;
    }
    bool says_more = below(stating, 2) == 0;
    int larger = difference > 0 ? 0 : 1;
    int first = (says_more == stating->truth) ? larger : 1 - larger;
    const char *parts[] = {SIDES[first], SIDES[1 - first], says_more ? "more" : "fewer"};
    state(stating, "the A image has C objects than the B image", parts);
    return true;
}

// "There are two circles in the two images": a false number is the true number of another shape.
static bool state_number(const Stating *stating)
{
    static const char *const NUMBERS[] = {"no", "one", "two", "three", "four", "five", "six"};
    Kind kinds[2];
    int counts[2];
    for (int i = 0; i < 2; i++) {
        const XvScene *scene = stating->scenes[below(stating, 2)];
        kinds[i] = (Kind){.shape = scene->objects[below(stating, scene->n_objects)].shape, .colour = -1};
        counts[i] = count_kind(stating->scenes[0], kinds[i]) + count_kind(stating->scenes[1], kinds[i]);
    }
    if (counts[0] == counts[1] || counts[0] > 6 || counts[1] > 6) {
        return false;
    }
    int number = counts[stating->truth ? 0 : 1];
    const char *const *names = number == 1 ? XV_SHAPE_NAMES : XV_SHAPE_PLURALS;
    const char *parts[] = {NUMBERS[number], names[kinds[0].shape]};
    state(stating,
          number == 1 ? "there is exactly A B in the two images" : "there are exactly A B in the two images",
          parts);
    return true;
}

static bool state_relation(const Stating *stating)
{
    int side = below(stating, 2);
    const XvScene *scene = stating->scenes[side];
    int a = below(stating, scene->n_objects), b = below(stating, scene->n_objects);
    XvRelation relation = a == b ? XV_UNCLEAR : xv_scene_relation(scene, a, b);
    if (relation != XV_ABOVE && relation != XV_BELOW) {
        return false;
    }
    relation = stating->truth ? relation : xv_relation_inverse(relation);
    unsigned say = XV_SAY_COLOUR | XV_SAY_SHAPE;
    XvText name_a, name_b;
    xv_say(&scene->objects[a], say, &name_a);
    xv_say(&scene->objects[b], say, &name_b);
    const char *parts[] = {name_a.text, name_b.text, xv_say_relation(relation, stating->stream), SIDES[side]};
    state(stating, "in the D image a A is C a B", parts);
    return true;
}

static bool state_absence(const Stating *stating)
{
    Kind kind = draw_kind(stating, stating->scenes[below(stating, 2)]);
    for (int attempt = 0; stating->truth; attempt++) {
        bool is_absent = count_kind(stating->scenes[0], kind) + count_kind(stating->scenes[1], kind) == 0;
        if (is_absent) {
            break;
        }
        if (attempt > 40) {
            return false;
        }
        kind.shape = kind.shape < 0 ? -1 : below(stating, stating->scenes[0]->n_shapes);
        kind.colour = kind.colour < 0 ? -1 : below(stating, stating->scenes[0]->n_colours);
    }
    XvText name;
    name_kind(kind, &name);
    const char *parts[] = {name.text};
    state(stating, "neither image contains a A", parts);
    return true;
}

bool xv_scene_statement(const XvScene *left, const XvScene *right, bool truth, XvStream *stream,
                        XvText *sentence)
{
    static const Stater STATERS[] = {state_contents, state_contents, state_shared,   state_comparison,
                                     state_number,   state_relation, state_relation, state_absence};
    Stating stating = {{left, right}, truth, stream, sentence};
    Stater stater = NULL;
    for (int attempt = 0; attempt < 300; attempt++) {
        // Several tries for each kind, or the kinds that always succeed would crowd out the others.
        stater = attempt % 6 == 0 ? STATERS[xv_stream_below(stream, 8)] : stater;
        if (stater(&stating)) {
            return true;
        }
    }
    return false;
}
