// Questions about one scene; see scenes.h.
//
// Every asker returns false when the scene gives no clear answer, and the next one is tried.
#include "runtime/tools/scenes.h"

#include <string.h>

static const unsigned KIND = XV_SAY_COLOUR | XV_SAY_SHAPE;

typedef struct Asking {
    const XvScene *scene;
    XvStream *stream;
    XvText *question, *answer;
} Asking;

typedef bool (*Asker)(const Asking *asking);

static uint32_t below(const Asking *asking, int bound)
{
    return xv_stream_below(asking->stream, (uint32_t)bound);
}

static int draw_object(const Asking *asking)
{
    return (int)below(asking, asking->scene->n_objects);
}

static int draw_other(const Asking *asking, int object)
{
    int other = (int)below(asking, asking->scene->n_objects - 1);
    return other + (other >= object);
}

static void answer_with(const Asking *asking, const char *answer)
{
    asking->answer->text[0] = '\0';
    xv_text_add(asking->answer, "%s", answer);
}

static void ask(const Asking *asking, const char *frame, const char *const *parts)
{
    xv_text_compose(asking->question, frame, parts);
    xv_text_capitalise(asking->question);
}

// ---- looks

static bool ask_colour(const Asking *asking)
{
    static const unsigned SAYS[] = {XV_SAY_SHAPE, XV_SAY_SHAPE, XV_SAY_SHAPE | XV_SAY_SIZE, XV_SAY_SIZE};
    static const char *const FRAMES[] = {"what color is the A?", "which color does the A have?"};
    int object = draw_object(asking);
    unsigned say = SAYS[below(asking, 4)];
    if (!xv_scene_identifies(asking->scene, object, say)) {
        return false;
    }
    XvText a;
    xv_say(&asking->scene->objects[object], say, &a);
    const char *parts[] = {a.text};
    ask(asking, FRAMES[below(asking, 2)], parts);
    answer_with(asking, XV_COLOURS[asking->scene->objects[object].colour].name);
    return true;
}

static bool ask_shape(const Asking *asking)
{
    static const unsigned SAYS[] = {XV_SAY_COLOUR, XV_SAY_COLOUR, XV_SAY_COLOUR | XV_SAY_SIZE, XV_SAY_SIZE};
    static const char *const FRAMES[] = {"what shape is the A?", "which shape does the A have?"};
    int object = draw_object(asking);
    unsigned say = SAYS[below(asking, 4)];
    if (!xv_scene_identifies(asking->scene, object, say)) {
        return false;
    }
    XvText a;
    xv_say(&asking->scene->objects[object], say, &a);
    const char *parts[] = {a.text};
    ask(asking, FRAMES[below(asking, 2)], parts);
    answer_with(asking, XV_SHAPE_NAMES[asking->scene->objects[object].shape]);
    return true;
}

// Solid and small objects are frequent, so answers are drawn against that here and in ask_size.
static bool ask_pattern(const Asking *asking)
{
    const XvSceneObject *object = &asking->scene->objects[draw_object(asking)];
    if (object->texture != (int)below(asking, XV_N_TEXTURES)) {
        return false;
    }
    XvText a;
    xv_say(object, KIND, &a);
    const char *parts[] = {a.text};
    ask(asking, "what pattern does the A have?", parts);
    answer_with(asking, XV_TEXTURE_NAMES[object->texture]);
    return true;
}

static bool ask_size(const Asking *asking)
{
    const XvSceneObject *object = &asking->scene->objects[draw_object(asking)];
    bool wants_large = below(asking, 3) > 0;
    if (object->is_large != wants_large) {
        return false;
    }
    XvText a;
    xv_say(object, KIND, &a);
    const char *parts[] = {a.text};
    ask(asking, below(asking, 2) ? "is the A large or small?" : "what size is the A?", parts);
    answer_with(asking, object->is_large ? "large" : "small");
    return true;
}

// ---- number

static int count_of(const XvScene *scene, bool by_shape, int kind)
{
    int count = 0;
    for (int i = 0; i < scene->n_objects; i++) {
        count += (by_shape ? scene->objects[i].shape : scene->objects[i].colour) == kind;
    }
    return count;
}

// A shape or colour that occurs a number of times which is drawn first, so that no number dominates.
static int draw_counted(const Asking *asking, bool by_shape)
{
    int kinds[XV_N_SHAPES > XV_N_COLOURS ? XV_N_SHAPES : XV_N_COLOURS];
    int n_kinds = by_shape ? asking->scene->n_shapes : asking->scene->n_colours;
    for (;;) {
        int wanted = (int)below(asking, asking->scene->n_objects + 1);
        int found = 0;
        for (int kind = 0; kind < n_kinds; kind++) {
            if (count_of(asking->scene, by_shape, kind) == wanted) {
                kinds[found++] = kind;
            }
        }
        if (found > 0) {
            return kinds[below(asking, found)];
        }
    }
}

static void answer_number(const Asking *asking, int number)
{
    const char digits[] = {(char)('0' + number), '\0'};
    answer_with(asking, digits);
}

static bool ask_count(const Asking *asking)
{
    static const char *const FRAMES[] = {"how many A are there?", "how many A can you see?",
                                         "how many A are in the picture?"};
    const char *frame = FRAMES[below(asking, 3)];
    uint32_t what = below(asking, 5);
    XvText a = {""};
    int number = asking->scene->n_objects;
    if (what == 0) {
        xv_text_add(&a, "objects");
    } else if (what < 4) {
        int shape = draw_counted(asking, true);
        xv_text_add(&a, "%s", XV_SHAPE_PLURALS[shape]);
        number = count_of(asking->scene, true, shape);
    } else {
        int colour = draw_counted(asking, false);
        xv_text_add(&a, "%s objects", XV_COLOURS[colour].name);
        number = count_of(asking->scene, false, colour);
    }
    const char *parts[] = {a.text};
    ask(asking, frame, parts);
    answer_number(asking, number);
    return true;
}

// ---- relations

static bool ask_where(const Asking *asking)
{
    static const char *const ANSWERS[XV_RELATION_COUNT] = {
        [XV_ABOVE] = "above", [XV_BELOW] = "below",   [XV_LEFT] = "left",
        [XV_RIGHT] = "right", [XV_INSIDE] = "inside", [XV_AROUND] = "around",
    };
    int a = draw_object(asking), b = draw_other(asking, a);
    XvRelation relation = xv_scene_relation(asking->scene, a, b);
    if (relation == XV_UNCLEAR) {
        return false;
    }
    XvText name_a, name_b;
    xv_say(&asking->scene->objects[a], KIND, &name_a);
    xv_say(&asking->scene->objects[b], KIND, &name_b);
    const char *parts[] = {name_a.text, name_b.text};
    ask(asking, "where is the A relative to the B?", parts);
    answer_with(asking, ANSWERS[relation]);
    return true;
}

static bool ask_neighbour(const Asking *asking)
{
    int a = draw_object(asking), b = draw_other(asking, a);
    if (!xv_scene_relation_identifies(asking->scene, a, 0, b)) {
        return false;
    }
    const XvSceneObject *object = &asking->scene->objects[a];
    bool asks_shape = below(asking, 2) == 0;
    XvText name_b;
    xv_say(&asking->scene->objects[b], KIND, &name_b);
    const char *relation = xv_say_relation(xv_scene_relation(asking->scene, a, b), asking->stream);
    const char *parts[] = {name_b.text, relation};
    ask(asking, asks_shape ? "what shape is B the A?" : "what color is the object B the A?", parts);
    answer_with(asking, asks_shape ? XV_SHAPE_NAMES[object->shape] : XV_COLOURS[object->colour].name);
    return true;
}

// ---- yes or no: the wanted answer is given, the question made to fit

static bool has_kind(const XvScene *scene, int shape, int colour)
{
    for (int i = 0; i < scene->n_objects; i++) {
        if (scene->objects[i].shape == shape && scene->objects[i].colour == colour) {
            return true;
        }
    }
    return false;
}

static bool wants_yes(const Asking *asking)
{
    return asking->answer->text[0] == 'y';
}

// "no" prefers a shape and a colour that both occur, but not together.
static bool ask_existence(const Asking *asking)
{
    const XvScene *scene = asking->scene;
    const XvSceneObject *object = &scene->objects[draw_object(asking)];
    XvSceneObject asked = *object;
    if (!wants_yes(asking)) {
        asked.colour = scene->objects[draw_object(asking)].colour;
        while (has_kind(scene, asked.shape, asked.colour)) {
            asked.shape = (int)below(asking, scene->n_shapes);
            asked.colour = (int)below(asking, scene->n_colours);
        }
    }
    XvText a;
    xv_say(&asked, KIND, &a);
    const char *parts[] = {a.text};
    ask(asking, below(asking, 2) ? "is there a A?" : "does the picture show a A?", parts);
    return true;
}

static bool ask_relation(const Asking *asking)
{
    int a = draw_object(asking), b = draw_other(asking, a);
    XvRelation relation = xv_scene_relation(asking->scene, a, b);
    bool is_clear = relation != XV_UNCLEAR && relation != XV_AROUND && relation != XV_INSIDE;
    if (!is_clear) {
        return false;
    }
    relation = wants_yes(asking) ? relation : xv_relation_inverse(relation);
    XvText name_a, name_b;
    xv_say(&asking->scene->objects[a], KIND, &name_a);
    xv_say(&asking->scene->objects[b], KIND, &name_b);
    const char *parts[] = {name_a.text, name_b.text, xv_say_relation(relation, asking->stream)};
    ask(asking, "is the A C the B?", parts);
    return true;
}

static bool ask_whether_colour(const Asking *asking)
{
    int object = draw_object(asking);
    const XvSceneObject *asked = &asking->scene->objects[object];
    if (!xv_scene_identifies(asking->scene, object, XV_SAY_SHAPE) || asking->scene->n_colours < 2) {
        return false;
    }
    int colour = asked->colour;
    while (!wants_yes(asking) && colour == asked->colour) {
        int other = draw_other(asking, object);
        bool is_from_scene = below(asking, 2) == 0;
        colour = is_from_scene ? asking->scene->objects[other].colour
                               : (int)below(asking, asking->scene->n_colours);
    }
    const char *parts[] = {XV_SHAPE_NAMES[asked->shape], XV_COLOURS[colour].name};
    ask(asking, "is the A B?", parts);
    return true;
}

static bool ask_comparison(const Asking *asking)
{
    const XvScene *scene = asking->scene;
    int first = (int)below(asking, scene->n_shapes), second = (int)below(asking, scene->n_shapes);
    int difference = count_of(scene, true, first) - count_of(scene, true, second);
    if (difference == 0) {
        return false;
    }
    bool is_swapped = (difference > 0) != wants_yes(asking);
    const char *parts[] = {XV_SHAPE_PLURALS[is_swapped ? second : first],
                           XV_SHAPE_PLURALS[is_swapped ? first : second]};
    ask(asking, "are there more A than B?", parts);
    return true;
}

// ---- the set of one scene

static void ask_one_of(const Asking *asking, const Asker *askers, int n_askers)
{
    while (!askers[below(asking, n_askers)](asking)) {
    }
}

void xv_scene_questions(const XvScene *scene, XvQuestion questions[XV_SCENE_QUESTIONS])
{
    // Three rows of open questions, then the two that are answered with yes and no, then any open one.
    static const Asker OPEN[] = {ask_colour,    ask_shape,   ask_count, ask_where,
                                 ask_neighbour, ask_pattern, ask_size,  ask_count};
    static const Asker CLOSED[] = {ask_existence, ask_relation, ask_whether_colour, ask_comparison};
    XvStream stream = xv_scene_stream(scene, XV_FOR_QUESTIONS);
    for (int i = 0; i < XV_SCENE_QUESTIONS; i++) {
        Asking asking = {scene, &stream, &questions[i].question, &questions[i].answer};
        if (i == 3 || i == 4) {
            answer_with(&asking, i == 3 ? "yes" : "no");
            ask_one_of(&asking, CLOSED, 4);
        } else if (i < 3) {
            Asker first = OPEN[i];
            ask_one_of(&asking, (const Asker[]){first, first, first, OPEN[7 - i]}, 4);
        } else {
            ask_one_of(&asking, OPEN, 8);
        }
    }
}
