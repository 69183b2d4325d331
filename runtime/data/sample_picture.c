// Pictures of samples: reading, cropping, normalising; see sample_job.h.
#include "runtime/data/base64.h"
#include "runtime/data/image_path.h"
#include "runtime/data/sample_job.h"
#include "runtime/data/transform.h"

#include <limits.h>
#include <string.h>

static bool read_picture(const XvJob *job, const char *path)
{
    char found[PATH_MAX];
    const XvImageRoots roots = {job->options->image_root, job->options->vqa_root, job->options->vg_root};
    const char *root = xv_image_root(&roots, job->record);
    return xv_image_read(root, job->path, path, found, &job->workspace->file, job->error);
}

bool xv_job_load(const XvJob *job, const char *image, bool is_path, XvImageSize *size)
{
    XvBytes *file = &job->workspace->file;
    bool ok = is_path ? read_picture(job, image) : xv_base64_decode(image, file, job->error);
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
           xv_random_augment(&job->options->augment, job->sampler->kind->n_augments, &draws,
                             &workspace->resized, &workspace->augmented) ||
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
