// Writes the weights and pictures of a case of the official sizes: weights.safetensors and inputs.safetensors.
//
//   base_size --case DIR --output DIR
//
// The recorded cases do not carry their 215 million weights; they say how to draw them, bit for bit:
//   seed   = fnv1a64(name) xor case_seed
//   raw(i) = splitmix64's i-th output from that seed
//   k = (raw(i) >> 40) - 2^23;  u = k * 2^-23;  value = u * scale   (each step rounded to float32)
// and 1 + u * scale for the weights of normalisations; `temp` is its scale. Every tensor is checked against the
// recorded sum of its bit patterns, the picture against its first and last values, before a file is written.
#include "runtime/base/options.h"
#include "tests/tools/check.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

enum { SAMPLES = 16 };  // recorded values at each end of a picture

static uint64_t fnv(const char *text)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (; *text; text++) {
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001B3);
    }
    return hash;
}

static uint64_t raw(uint64_t seed, uint64_t i)
{
    uint64_t z = seed + (i + 1) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

// Fills `out` and returns the sum of the bit patterns.
static uint32_t draw(uint64_t seed, float scale, bool is_around_one, float *out, int64_t count)
{
    uint32_t sum = 0;
    for (int64_t i = 0; i < count; i++) {
        int32_t k = (int32_t)(raw(seed, (uint64_t)i) >> 40) - 8388608;
        float u = (float)k * 0x1p-23f;
        float value = u * scale;
        out[i] = is_around_one ? 1.0f + value : value;
        uint32_t bits;
        memcpy(&bits, &out[i], sizeof bits);
        sum += bits;
    }
    return sum;
}

static void read_shape(const cJSON *list, XvTensor *tensor)
{
    const cJSON *dimension;
    cJSON_ArrayForEach(dimension, list)
    {
        if (tensor->rank == XV_MAX_RANK || dimension->valuedouble < 1) {
            check_stop("impossible shape of %s", tensor->name);
        }
        tensor->shape[tensor->rank++] = (int64_t)dimension->valuedouble;
    }
    tensor->data = check_memory(xv_tensor_bytes(tensor));
}

static void check_sum(const char *name, uint32_t got, const cJSON *want)
{
    if ((double)got != want->valuedouble) {
        check_stop("%s: the bits add up to %" PRIu32 ", recorded are %.0f", name, got, want->valuedouble);
    }
}

static XvTensor make_parameter(const cJSON *recorded, uint64_t case_seed)
{
    XvTensor tensor = {.name = check_member(recorded, "name")->valuestring, .dtype = XV_F32};
    read_shape(check_member(recorded, "shape"), &tensor);
    uint64_t seed = fnv(tensor.name) ^ case_seed;
    if (seed != strtoull(check_member(recorded, "seed")->valuestring, NULL, 16)) {
        check_stop("%s: the seed is %" PRIx64 ", recorded is %s", tensor.name, seed,
                   check_member(recorded, "seed")->valuestring);
    }
    const char *kind = check_member(recorded, "class")->valuestring;
    float scale = (float)check_member(recorded, "scale")->valuedouble;
    uint32_t sum;
    if (strcmp(kind, "temp") == 0) {
        *(float *)tensor.data = scale;
        memcpy(&sum, &scale, sizeof sum);
    } else {
        sum = draw(seed, scale, strcmp(kind, "norm_weight") == 0, tensor.data, xv_tensor_count(&tensor));
    }
    check_sum(tensor.name, sum, check_member(recorded, "bits_sum"));
    return tensor;
}

static void write_file(const char *path, const XvTensor *tensors, int n_tensors)
{
    XvFileContent content = {.tensors = tensors, .n_tensors = n_tensors};
    XvError error = {0};
    if (!xv_safetensors_write(path, &content, &error)) {
        check_stop("%s", error.text);
    }
}

static void write_weights(const cJSON *config, const char *path)
{
    const cJSON *parameters = check_member(config, "parameters");
    uint64_t case_seed = (uint64_t)check_member(config, "case_seed")->valuedouble;
    int n_tensors = cJSON_GetArraySize(parameters), n = 0;
    XvTensor *tensors = check_memory((size_t)n_tensors * sizeof *tensors);
    const cJSON *recorded;
    cJSON_ArrayForEach(recorded, parameters)
    {
        tensors[n++] = make_parameter(recorded, case_seed);
    }
    write_file(path, tensors, n);
    for (int i = 0; i < n; i++) {
        free(tensors[i].data);
    }
    free(tensors);
}

static void check_ends_of_picture(const XvSafetensors *inputs, const XvTensor *image)
{
    Values first = check_reference(inputs, "image.first16"), last = check_reference(inputs, "image.last16");
    const float *at = image->data;
    int64_t count = xv_tensor_count(image);
    for (int i = 0; i < SAMPLES; i++) {
        if ((double)at[i] != first.at[i] || (double)at[count - SAMPLES + i] != last.at[i]) {
            check_stop("image: value %d from an end is not the recorded one", i);
        }
    }
}

static XvTensor make_image(const cJSON *config, const XvSafetensors *inputs)
{
    XvTensor image = {.name = "image", .dtype = XV_F32};
    read_shape(check_member(config, "image_shape"), &image);
    uint64_t seed = fnv("input.image") ^ (uint64_t)check_member(config, "case_seed")->valuedouble;
    uint32_t sum = draw(seed, 1.5f, false, image.data, xv_tensor_count(&image));
    check_sum("image", sum, check_member(config, "image_bits_sum"));
    check_ends_of_picture(inputs, &image);
    return image;
}

// The recorded inputs but the ends of the picture, and the whole picture.
static void write_inputs(const cJSON *config, const char *folder, const char *path)
{
    XvSafetensors inputs;
    check_open(&inputs, check_path(folder, "inputs.safetensors"));
    XvTensor *tensors = check_memory(((size_t)inputs.n_tensors + 1) * sizeof *tensors);
    int n = 0;
    tensors[n++] = make_image(config, &inputs);
    for (int i = 0; i < inputs.n_tensors; i++) {
        const XvStored *stored = &inputs.tensors[i];
        if (check_starts(stored->name, "image.")) {
            continue;
        }
        XvTensor tensor = {.name = stored->name, .dtype = stored->dtype, .rank = stored->rank};
        memcpy(tensor.shape, stored->shape, sizeof tensor.shape);
        tensor.data = check_memory(xv_tensor_bytes(&tensor));
        XvError error = {0};
        if (!xv_safetensors_read_raw(&inputs, stored, tensor.data, &error)) {
            check_stop("%s", error.text);
        }
        tensors[n++] = tensor;
    }
    write_file(path, tensors, n);
}

int main(int argc, char **argv)
{
    const char *folder = NULL, *output = NULL;
    const XvOption options[] = {
        {"--case", "DIR", XV_OPTION_TEXT, &folder, 0, 0, "folder of the recorded case"},
        {"--output", "DIR", XV_OPTION_TEXT, &output, 0, 0, "where the two files go"},
    };
    XvError error = {0};
    if (!xv_options_parse(options, 2, argc, argv, &error) || !folder || !output) {
        fprintf(stderr, "base_size: %s\n", error.text[0] ? error.text : "--case and --output are needed");
        xv_options_print(stderr, options, 2);
        return XV_EXIT_USAGE;
    }
    if (mkdir(output, 0777) != 0 && errno != EEXIST) {
        check_stop("cannot make %s: %s", output, strerror(errno));
    }
    cJSON *config = check_json(check_path(folder, "config.json"));
    write_weights(config, check_path(output, "weights.safetensors"));
    write_inputs(config, folder, check_path(output, "inputs.safetensors"));
    return XV_EXIT_OK;
}
