// Pictures of samples: reading, cropping, normalising; see sample_job.h.
#include "runtime/data/base64.h"
#include "runtime/data/sample_job.h"
#include "runtime/data/transform.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// "root/path", or the path alone if it is absolute or there is no root; behind the folder of `beside`, if given.
static bool join(char out[PATH_MAX], const char *beside, const char *root, const char *path)
{
    const char *slash = beside ? strrchr(beside, '/') : NULL;
    int folder = slash ? (int)(slash - beside) + 1 : 0;
    bool has_root = root && *root && path[0] != '/';
    const char *separator = has_root && root[strlen(root) - 1] != '/' ? "/" : "";
    int length = snprintf(out, PATH_MAX, "%.*s%s%s%s", folder, beside ? beside : "", has_root ? root : "", separator,
                          path);
    return length < PATH_MAX;
}

// The first that exists of: the path below the root, the same beside the record file, the path beside the record file.
static bool find_file(const XvJob *job, const char *root, const char *path, char found[PATH_MAX])
{
    if (strlen(path) + (root ? strlen(root) : 0) + strlen(job->path) + 3 > PATH_MAX) {
        return xv_fail(job->error, "the image path has %zu characters", strlen(path));
    }
    join(found, NULL, root, path);
    bool is_absolute = path[0] == '/' || (root && root[0] == '/');
    if (is_absolute || access(found, R_OK) == 0) {
        return true;
    }
    join(found, job->path, root, path);
    if (access(found, R_OK) != 0) {
        join(found, job->path, NULL, path);
        if (access(found, R_OK) != 0) {
            join(found, NULL, root, path);  // for the message
        }
    }
    return true;
}

// VQA's pictures lie below a root per data set (facts 5.1); those of gqa are paths of their own.
static const char *root_of(const XvJob *job)
{
    const cJSON *set = cJSON_GetObjectItemCaseSensitive(job->record, "dataset");
    const char *name = cJSON_IsString(set) ? set->valuestring : "vqa";
    if (job->options->vqa_root && strcmp(name, "vqa") == 0) {
        return job->options->vqa_root;
    }
    if (job->options->vg_root && strcmp(name, "vg") == 0) {
        return job->options->vg_root;
    }
    return job->options->image_root;
}

bool xv_job_load(const XvJob *job, const char *image, bool is_path, XvImageSize *size)
{
    XvBytes *file = &job->workspace->file;
    char path[PATH_MAX];
    bool ok = is_path ? find_file(job, root_of(job), image, path) && xv_file_read(path, file, job->error)
                      : xv_base64_decode(image, file, job->error);
    if (!ok) {
        return false;
    }
    return xv_image_size(file->data, file->count, size, job->error) ||
           (is_path && xv_fail_in(job->error, "%.300s", image));
}

XvRegionView xv_job_view(const XvJob *job, XvImageSize size, bool may_flip)
{
    XvRegionView view = xv_region_whole(size);
    if (xv_job_is_training(job)) {
        if (job->sampler->kind->crop == XV_CROP_RANDOM) {
            view.crop = xv_random_crop(size, job->options->scale_low, job->options->scale_high, &job->draws);
        }
        view.is_flipped = job->draws.uniform(job->draws.state) < 0.5 && may_flip;
    }
    return view;
}

// Draws from a stream of its own: what it takes does not shift the crops and masks.
static bool augment(const XvJob *job)
{
    enum { PURPOSE_AUGMENT = 0xA06 };
    XvStream stream = xv_stream(xv_key(job->pick.key, PURPOSE_AUGMENT + (uint64_t)job->picture));
    XvDraws draws = xv_stream_draws(&stream);
    XvWorkspace *workspace = job->workspace;
    return !xv_job_is_training(job) ||
           xv_random_augment(&job->options->augment, job->sampler->kind->n_augments, &draws, &workspace->resized,
                             &workspace->augmented) ||
           xv_fail(job->error, "no memory to augment a picture");
}

bool xv_job_render(const XvJob *job, const XvRegionView *view, const char *name, float *out)
{
    XvWorkspace *workspace = job->workspace;
    const XvBytes *file = &workspace->file;
    int res = job->options->image_res;
    if (!xv_image_decode(file->data, file->count, view->crop.top + view->crop.height, &workspace->decoded,
                         job->error)) {
        return name ? xv_fail_in(job->error, "%.300s", name) : false;
    }
    workspace->n_partial += workspace->decoded.is_partial;
    if (!xv_image_resize(&workspace->resized, res, res, job->error) ||
        !xv_resize(&workspace->resizer, &workspace->decoded, view->crop, &workspace->resized, job->error)) {
        return false;
    }
    if (view->is_flipped) {
        xv_flip(&workspace->resized);
    }
    if (!augment(job)) {
        return false;
    }
    xv_normalise(&workspace->resized, out);
    return true;
}

bool xv_job_picture(const XvJob *job, const char *path, bool may_flip, float *out)
{
    XvImageSize size;
    if (!xv_job_load(job, path, true, &size)) {
        return false;
    }
    XvRegionView view = xv_job_view(job, size, may_flip);
    return xv_job_render(job, &view, path, out);
}
