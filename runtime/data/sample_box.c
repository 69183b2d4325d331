// Samples of grounding with boxes: the crop keeps the box that the text is about
// (dataset/grounding_dataset.py).
#include "runtime/data/json_line.h"
#include "runtime/data/sample_job.h"

#include <math.h>
#include <string.h>

// Of the record itself (the layout of VLUE), or of the file of boxes by ref_id.
static bool find_box(const XvJob *job, double box[4])
{
    const cJSON *own = xv_json_member(job->record, "bbox");
    if (own) {
        return xv_json_box(own, box) || xv_fail(job->error, "field \"bbox\" is not a list of four numbers");
    }
    int64_t ref_id;
    if (!xv_job_integer(job, "ref_id", &ref_id)) {
        return false;
    }
    const XvReferences *references = job->sampler->references;
    const XvReference *reference = references ? xv_references_find(references, ref_id) : NULL;
    if (!reference) {
        const char *reason =
            references ? "no box is known for ref_id %lld"
                       : "no \"bbox\" in the record, and no file of boxes (refcoco_data) for ref_id %lld";
        return xv_fail(job->error, reason, (long long)ref_id);
    }
    memcpy(box, reference->box, sizeof reference->box);
    return true;
}

static int between(const XvJob *job, double low, double high)
{
    return job->draws.between(job->draws.state, (int32_t)low, (int32_t)high);
}

// A crop that holds the whole box, and a flip that does not contradict the text.
static bool draw_view(const XvJob *job, XvImageSize size, const double box[4], const char *text,
                      XvRegionView *view)
{
    double right = fmin(ceil(box[0] + box[2]), size.width), bottom = fmin(ceil(box[1] + box[3]), size.height);
    if (!(box[0] >= 0 && box[1] >= 0 && box[2] > 0 && box[3] > 0 && box[0] < size.width &&
          box[1] < size.height)) {
        return xv_fail(job->error, "box [%g, %g, %g, %g] is empty or not inside the %dx%d picture", box[0],
                       box[1], box[2], box[3], size.width, size.height);
    }
    *view = xv_region_whole(size);
    if (!xv_job_is_training(job)) {
        return true;
    }
    int left = between(job, 0, floor(box[0])), top = between(job, 0, floor(box[1]));
    view->crop =
        (XvCrop){left, top, between(job, right, size.width) - left, between(job, bottom, size.height) - top};
    bool is_careful = job->options->careful_hflip != XV_NO;  // the published configuration lacks the key
    view->is_flipped = job->draws.uniform(job->draws.state) < 0.5 && !(is_careful && xv_says_side(text));
    return true;
}

static XvRegion place(const XvRegionView *view, const double box[4], int res)
{
    double x = box[0] - view->crop.left, y = box[1] - view->crop.top;
    double right = fmin(x + box[2], view->crop.width), bottom = fmin(y + box[3], view->crop.height);
    double w = right - x, h = bottom - y;
    if (view->is_flipped) {
        x = view->crop.width - x - w;
    }
    double across = (double)res / view->crop.width, down = (double)res / view->crop.height;
    return (XvRegion){.x = x * across, .y = y * down, .w = w * across, .h = h * down};
}

bool xv_make_grounding_box(XvJob *job, XvYield *yield)
{
    XvImageSize size;
    double box[4];
    const char *text = xv_job_string(job, "text"), *path = text ? xv_job_string(job, "image") : NULL;
    yield->n_samples = 1;
    if (!path || (xv_job_wants(job, XV_FILLS_TEXT) &&
                  !xv_job_text(job, text, &(XvTextRule){0}, yield->samples[0].text))) {
        return false;
    }
    bool wants_box = xv_job_is_training(job) || xv_job_wants(job, XV_FILLS_BOX);
    if (!wants_box && !yield->images[0]) {
        return true;
    }
    if ((wants_box && !find_box(job, box)) || !xv_job_load(job, path, true, &size)) {
        return false;
    }
    XvRegionView view = xv_region_whole(size);
    if (wants_box && !draw_view(job, size, box, text, &view)) {
        return false;
    }
    if (wants_box) {
        yield->samples[0].region = place(&view, box, job->options->image_res);
    }
    return !yield->images[0] || xv_job_render(job, &view, path, yield->images[0]);
}
