// Targets for the gradients of box losses in bf16, fp16 or tf32, where a recorded box lies at a kink of its loss.
//
//   box_kinks --case DIR --type bf16 --inputs F --moved F
//
// On either side of a kink the gradient is another function, and within the rounding of a prediction (the training
// graph's, which no output shows) both are right: only gradients on the recorded side can be compared. Where a
// recorded box is closer to a kink than the rule lets a coordinate be off, the row's target is moved away by as much,
// a line says so, and the inputs are written for a run whose gradients are held to the recorded ones and the same
// bounds: what moving changes counts as an error. Rows without a box of their own (is_image) do not count. Nothing is
// written where nothing is moved. The exit status is 1 for a target that cannot be moved off its kinks.
#include "runtime/base/options.h"
#include "tests/tools/mixed_rule.h"

enum { COMPARISONS = 6, MAX_ROUNDS = 100 };

// What the losses compare in x or in y of a box and its target: L1 coordinates, GIoU edges (intersection and hull),
// whether boxes overlap, whether one is empty. Differences; `reach` is how far one may be off where the box's centre
// and size may be off by 1 each.
static const struct {
    const char *name;
    double reach;
} KINDS[COMPARISONS] = {{"centre", 1},       {"size", 1},      {"lower edge", 1.5},
                        {"upper edge", 1.5}, {"overlap", 1.5}, {"smaller size", 1}};

typedef struct Side {
    double centre, size;
} Side;

typedef struct Kinks {
    const char *folder, *type, *inputs, *moved;
    double error;  // what a coordinate of a prediction may be off
} Kinks;

static double difference(int kind, Side box, Side target)
{
    double low = box.centre - box.size / 2, high = box.centre + box.size / 2;
    double target_low = target.centre - target.size / 2, target_high = target.centre + target.size / 2;
    switch (kind) {
    case 0: return box.centre - target.centre;
    case 1: return box.size - target.size;
    case 2: return low - target_low;
    case 3: return high - target_high;
    case 4: return fmin(high, target_high) - fmax(low, target_low);
    default: return fmin(box.size, target.size);
    }
}

// The target moved, the shortest way, until the difference is `wanted`: differences are linear in it piece by piece.
static Side moved_until(int kind, Side box, Side target, double wanted)
{
    const double step = 1e-6;
    double now = difference(kind, box, target);
    double by_centre = (difference(kind, box, (Side){target.centre + step, target.size}) - now) / step;
    double by_size = (difference(kind, box, (Side){target.centre, target.size + step}) - now) / step;
    double slope = by_centre * by_centre + by_size * by_size;
    double way = slope > 0 ? (wanted - now) / slope : 0;
    return (Side){target.centre + way * by_centre, target.size + way * by_size};
}

// Whether the target is off all kinks, or was moved so; says what it was too close to.
static bool clear_side(const Kinks *kinks, const char *where, Side box, Side *target)
{
    double recorded[COMPARISONS];
    for (int kind = 0; kind < COMPARISONS; kind++) {
        recorded[kind] = difference(kind, box, *target);
        if (fabs(recorded[kind]) < KINDS[kind].reach * kinks->error) {
            printf("%s: %s %+.3g is within %.3g of a kink\n", where, KINDS[kind].name, recorded[kind],
                   KINDS[kind].reach * kinks->error);
        }
    }
    for (int round = 0; round < MAX_ROUNDS; round++) {
        bool is_clear = true;
        for (int kind = 0; kind < COMPARISONS; kind++) {
            double least = KINDS[kind].reach * kinks->error, sign = recorded[kind] < 0 ? -1 : 1;
            if (sign * difference(kind, box, *target) < least) {
                *target = moved_until(kind, box, *target, sign * least * 1.001);
                is_clear = false;
            }
        }
        if (is_clear) {
            return true;
        }
    }
    return false;
}

// Moves the target of a row off its kinks; whether it had to be.
static bool clear_row(Check *check, const Kinks *kinks, int row, const double *box, float *target)
{
    bool is_moved = false;
    for (int axis = 0; axis < 2; axis++) {
        char where[32];
        snprintf(where, sizeof where, "row %d, %c", row, axis == 0 ? 'x' : 'y');
        Side side = {target[axis], target[2 + axis]}, before = side;
        bool is_clear = clear_side(kinks, where, (Side){box[axis], box[2 + axis]}, &side);
        check_that(check, is_clear, "%s: no place off the kinks", where);
        if (side.centre != before.centre || side.size != before.size) {
            printf("%s: target moved by %+.3g, %+.3g\n", where, side.centre - before.centre,
                   side.size - before.size);
            target[axis] = (float)side.centre;
            target[2 + axis] = (float)side.size;
            is_moved = true;
        }
    }
    return is_moved;
}

// What a coordinate of a prediction may be off in the type.
static double largest_error(const Kinks *kinks)
{
    const cJSON *mixed = check_json(check_path(kinks->folder, "mixed_precision.json"));
    const cJSON *figures = check_member(check_member(mixed, "output_coord"), kinks->type);
    double error = mixed_bound(check_member(figures, "max_abs"));
    if (isnan(error)) {
        check_stop("%s: no error of output_coord is recorded for %s", kinks->folder, kinks->type);
    }
    return error;
}

static Values read_predictions(const Kinks *kinks, const XvStored *target)
{
    XvSafetensors record;
    check_open(&record, check_path(kinks->folder, "outputs.safetensors"));
    Values predictions = check_reference(&record, "output_coord");
    bool is_good = target->dtype == XV_F32 && target->rank == 2 && target->shape[1] == 4 &&
                   target->count == predictions.count;
    if (!is_good) {
        check_stop("%s: target_bbox does not fit output_coord", kinks->inputs);
    }
    return predictions;
}

static int clear_targets(Kinks *kinks)
{
    XvSafetensors inputs;
    check_open(&inputs, kinks->inputs);
    const XvStored *stored = xv_safetensors_find(&inputs, "target_bbox");
    if (!stored) {
        return XV_EXIT_OK;
    }
    kinks->error = largest_error(kinks);
    Values predictions = read_predictions(kinks, stored), is_image = {0};
    if (xv_safetensors_find(&inputs, "is_image")) {
        is_image = check_reference(&inputs, "is_image");
    }
    XvTensor *tensors = check_tensors(&inputs);
    float *targets = tensors[stored - inputs.tensors].data;
    Check check = {0};
    int n_moved = 0;
    for (int row = 0; row < (int)stored->shape[0]; row++) {
        bool has_box = !is_image.at || is_image.at[row] == 0;
        n_moved += has_box && clear_row(&check, kinks, row, &predictions.at[4 * row], &targets[4 * row]);
    }
    if (n_moved > 0) {
        check_write(kinks->moved, tensors, inputs.n_tensors);
    }
    return check.failed > 0 ? XV_EXIT_FAILED : XV_EXIT_OK;
}

int main(int argc, char **argv)
{
    Kinks kinks = {0};
    const XvOption options[] = {
        {"--case", "DIR", XV_OPTION_TEXT, &kinks.folder, 0, 0, "folder of the recorded case"},
        {"--type", "NAME", XV_OPTION_TEXT, &kinks.type, 0, 0, "bf16, fp16 or tf32"},
        {"--inputs", "F", XV_OPTION_TEXT, &kinks.inputs, 0, 0, "the inputs of a run"},
        {"--moved", "F", XV_OPTION_TEXT, &kinks.moved, 0, 0, "those for its gradients, where they differ"},
    };
    const int n_options = (int)(sizeof options / sizeof *options);
    XvError error = {0};
    bool is_good = xv_options_parse(options, n_options, argc, argv, &error);
    if (!is_good || !kinks.folder || !kinks.type || !kinks.inputs || !kinks.moved) {
        fprintf(stderr, "box_kinks: %s\n", error.text[0] ? error.text : "all options are needed");
        xv_options_print(stderr, options, n_options);
        return XV_EXIT_USAGE;
    }
    return clear_targets(&kinks);
}
