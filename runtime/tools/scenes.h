// Scenes: small pictures of coloured shapes whose truth is known exactly, with texts for every task.
//
// A scene's picture, captions, questions and so on are pure functions of the scene, whose random streams have a
// key of their own. Coordinates are fractions of the picture's side, y downwards, until an XvBox gives pixels.
// Words are only those of the shipped vocabulary (scenes_words.h).
#pragma once

#include "runtime/base/error.h"
#include "runtime/base/random.h"
#include "runtime/tools/scenes_words.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    XV_SCENE_MAX_OBJECTS = 6,
    XV_SCENE_CAPTIONS = 5,     // per scene, all different
    XV_SCENE_QUESTIONS = 6,    // per scene
    XV_SCENE_PAIRS = 4,        // NLVR statements per scene, half of them true
    XV_SCENE_EXPRESSIONS = 2,  // grounding texts per object
    XV_CAPTION_WORDS = 14,     // longest caption; with [CLS] it fits 16 tokens
};

typedef enum XvSplit { XV_TRAIN, XV_VAL, XV_TEST, XV_SPLIT_COUNT } XvSplit;

// "train", "val", "test".
const char *xv_split_name(XvSplit split);

typedef struct XvScenesOptions {
    const char *output;  // folder, made if missing
    int n_scenes[XV_SPLIT_COUNT];
    int pixels;                           // side of the square pictures
    int quality;                          // of the JPEG files
    int min_objects, max_objects;         // 2..XV_SCENE_MAX_OBJECTS
    int n_shapes, n_colours, n_textures;  // how many of each kind are used; fewer make an easier set
    bool has_plain_backgrounds;
    uint64_t seed;
} XvScenesOptions;

typedef struct XvBox {
    int x, y, w, h;  // pixels; x, y is the top left corner
} XvBox;

typedef struct XvSceneObject {
    int shape, colour, texture;  // indices into the tables of scenes_words.h
    bool is_large;
    double x, y, radius;  // centre and extent
    double angle;         // radians, clockwise
    int container;        // object (a ring) around this one, or -1
    XvBox box;            // tight, inside the picture
} XvSceneObject;

typedef enum XvGround {
    XV_GROUND_PLAIN,
    XV_GROUND_GRADIENT,
    XV_GROUND_CLOUDS,
    XV_GROUND_STRIPES,
    XV_GROUND_DOTS,
    XV_GROUND_COUNT
} XvGround;

typedef struct XvScene {
    XvSplit split;
    int number;  // of the file, unique over all splits
    int pixels;
    int n_shapes, n_colours;  // kinds in use, from the options
    int n_objects;
    XvSceneObject objects[XV_SCENE_MAX_OBJECTS];
    XvGround ground;
    double ground_rgb[2][3];  // the two tones of the background, 0..1
    uint64_t key;             // of the random streams of picture and texts
} XvScene;

// Purposes of a scene's random streams: xv_scene_stream(scene, XV_FOR_CAPTIONS).
typedef enum XvScenePurpose {
    XV_FOR_PICTURE,
    XV_FOR_CAPTIONS,
    XV_FOR_REGIONS,
    XV_FOR_QUESTIONS,
    XV_FOR_PAIRS,
    XV_FOR_EXPRESSIONS,
    XV_FOR_DETECTIONS,
} XvScenePurpose;

XvStream xv_scene_stream(const XvScene *scene, XvScenePurpose purpose);

// ---- scenes_layout.c: which objects, where

// Draws all scenes of all splits; the caller frees the array. scenes[0 .. n_scenes[TRAIN]-1] are for
// training, then val, then test. No combination of object kinds occurs in two splits, nor twice within val or
// test; within these two no pair (colour, shape) + (colour, shape) recurs as long as there are enough pairs.
// The test scenes do not depend on the size of the other splits. NULL when the kinds are too few for so many
// scenes.
XvScene *xv_scenes_draw(const XvScenesOptions *options, XvError *error);

// How object a lies with regard to object b; XV_UNCLEAR when a person might disagree.
typedef enum XvRelation {
    XV_UNCLEAR,
    XV_ABOVE,
    XV_BELOW,
    XV_LEFT,
    XV_RIGHT,
    XV_INSIDE,
    XV_AROUND,
    XV_NEAR,  // only as something to say; never returned
    XV_RELATION_COUNT
} XvRelation;

XvRelation xv_scene_relation(const XvScene *scene, int a, int b);

// The relation of b to a when a has `relation` to b.
XvRelation xv_relation_inverse(XvRelation relation);

// Free distance between the circles around two objects, in fractions of the side; negative when they overlap.
double xv_scene_gap(const XvScene *scene, int a, int b);

// Whether object a lies on the way from b to c.
bool xv_scene_is_between(const XvScene *scene, int a, int b, int c);

// Whether no other object of the scene agrees in everything said (XV_SAY_...).
bool xv_scene_identifies(const XvScene *scene, int object, unsigned say);

// Random extras (size, texture) added to `say`, each with the given chance.
unsigned xv_say_more(XvStream *stream, unsigned say, double chance);

// ---- scenes_shape.c: geometry in pixels

typedef struct XvOutline {
    int n_points;         // 0: a circle or ring
    double x[40], y[40];  // corners in pixels
    double inverse[40];   // 1 / squared length of the edge that starts at the corner
    double centre_x, centre_y;
    double radius, thickness;  // thickness > 0 makes a ring
} XvOutline;

XvOutline xv_outline(const XvSceneObject *object, int pixels);

// Signed distance to the outline in pixels, negative inside.
double xv_outline_distance(const XvOutline *outline, double x, double y);

// Smallest box of whole pixels around the outline, cut at the picture.
XvBox xv_outline_box(const XvOutline *outline, int pixels);

// ---- scenes_render.c: the picture

// RGB rows, pixels * pixels * 3 bytes; the caller frees.
uint8_t *xv_scene_render(const XvScene *scene);

// Renders and writes a JPEG file (4:4:4, baseline).
bool xv_scene_write(const XvScene *scene, int quality, const char *path, XvError *error);

// ---- scenes_captions.c: what is to be seen

// "large red" for the said properties other than the shape; empty when nothing is left to say.
void xv_say_adjectives(const XvSceneObject *object, unsigned say, XvText *text);

// "large red circle", or "large red object" when the shape is not said.
void xv_say(const XvSceneObject *object, unsigned say, XvText *text);

// One of the ways to put a relation: "above", "over", ...
const char *xv_say_relation(XvRelation relation, XvStream *stream);

// Whether "said object, relation, object b" fits object a beyond doubt and no other object.
bool xv_scene_relation_identifies(const XvScene *scene, int a, unsigned say, int b);

// All captions of the scene; the first never says left or right.
void xv_scene_captions(const XvScene *scene, XvText captions[XV_SCENE_CAPTIONS]);

// A text that fits this object alone, for grounding; may say left or right.
void xv_scene_expression(const XvScene *scene, int object, XvStream *stream, XvText *text);

// ---- scenes_questions.c: questions with one true answer

typedef struct XvQuestion {
    XvText question, answer;
} XvQuestion;

// Exactly one "yes" and one "no" among them; the others ask for colour, shape, number, pattern, size or
// place.
void xv_scene_questions(const XvScene *scene, XvQuestion questions[XV_SCENE_QUESTIONS]);

// ---- scenes_pairs.c: statements about two pictures

// A sentence about (left, right) that has the wanted truth. False when the two scenes are too alike to find
// one.
bool xv_scene_statement(const XvScene *left, const XvScene *right, bool truth, XvStream *stream,
                        XvText *sentence);

// ---- scenes_records.c: the files

// Writes all record files, answer lists and the vocabulary into options->output. Fails when a file cannot be
// written or a word is missing in the vocabulary.
bool xv_scenes_write_records(const XvScenesOptions *options, const XvScene *scenes, XvError *error);
