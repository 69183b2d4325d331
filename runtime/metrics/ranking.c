// Ranks in score matrices; see ranking.h. Nothing is sorted: a rank is the number of candidates in front.
#include "runtime/metrics/ranking.h"

#include <math.h>
#include <stdlib.h>

static bool is_in_front(float score, int64_t at, float own, int64_t own_at)
{
    if (isnan(own) || isnan(score)) {
        return isnan(own) && (!isnan(score) || at > own_at);
    }
    return score > own || (score >= own && at > own_at);
}

static int64_t rank_of(const float *row, int64_t n, int64_t own)
{
    int64_t rank = 0;
    for (int64_t i = 0; i < n; i++) {
        rank += i != own && is_in_front(row[i], i, row[own], own);
    }
    return rank;
}

// Adds 1 where a rank is among the first.
static void count_rank(int64_t rank, double *found)
{
    for (int i = 0; i < XV_RECALLS; i++) {
        found[i] += rank < XV_RECALL_AT[i];
    }
}

static void rank_texts(const XvScores *scores, const int64_t *best, XvRecalls *recalls)
{
    for (int64_t i = 0; i < scores->images; i++) {
        count_rank(best[i], recalls->text);
    }
    for (int i = 0; i < XV_RECALLS; i++) {
        recalls->text[i] *= 100.0 / (double)scores->images;
        recalls->image[i] *= 100.0 / (double)scores->texts;
        recalls->text_mean += recalls->text[i] / XV_RECALLS;
        recalls->image_mean += recalls->image[i] / XV_RECALLS;
    }
    recalls->mean = (recalls->text_mean + recalls->image_mean) / 2;
}

bool xv_recalls(const XvScores *scores, XvRecalls *recalls, XvError *error)
{
    *recalls = (XvRecalls){.mean = 0.0};
    if (scores->images < 1 || scores->texts < 1) {
        return xv_fail(error, "there is nothing to rank");
    }
    int64_t *best = malloc((size_t)scores->images * sizeof *best);
    if (!best) {
        return xv_fail(error, "no memory to rank %lld images", (long long)scores->images);
    }
    for (int64_t i = 0; i < scores->images; i++) {
        best[i] = scores->texts;
    }
    for (int64_t t = 0; t < scores->texts; t++) {
        int64_t image = scores->image_of_text[t];
        if (image < 0 || image >= scores->images) {
            free(best);
            return xv_fail(error, "text %lld belongs to image %lld; there are %lld images", (long long)t,
                           (long long)image, (long long)scores->images);
        }
        int64_t rank = rank_of(scores->image_to_text + image * scores->texts, scores->texts, t);
        best[image] = rank < best[image] ? rank : best[image];
        count_rank(rank_of(scores->text_to_image + t * scores->images, scores->images, image),
                   recalls->image);
    }
    rank_texts(scores, best, recalls);
    free(best);
    return true;
}

static const char *const NAMES[XV_RECALL_ROWS] = {"txt_r1", "txt_r5",  "txt_r10",    "txt_r_mean", "img_r1",
                                                  "img_r5", "img_r10", "img_r_mean", "r_mean"};

const char *xv_recall_name(int i)
{
    return NAMES[i];
}

double xv_recall_value(const XvRecalls *recalls, int i)
{
    const double values[XV_RECALL_ROWS] = {recalls->text[0],   recalls->text[1],    recalls->text[2],
                                           recalls->text_mean, recalls->image[0],   recalls->image[1],
                                           recalls->image[2],  recalls->image_mean, recalls->mean};
    return values[i];
}
