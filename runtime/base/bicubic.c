// Weights of bicubic interpolation; see bicubic.h.
#include "runtime/base/bicubic.h"

#include <math.h>
#include <string.h>

static double cubic(double distance)
{
    const double a = -0.75;
    double t = fabs(distance);
    if (t <= 1) {
        return ((a + 2) * t - (a + 3)) * t * t + 1;
    }
    return t < 2 ? ((a * t - 5 * a) * t + 8 * a) * t - 4 * a : 0;
}

void xv_bicubic_weights(int source, int target, double *weights)
{
    memset(weights, 0, (size_t)source * (size_t)target * sizeof *weights);
    double scale = (double)source / target;
    for (int i = 0; i < target; i++) {
        double at = (i + 0.5) * scale - 0.5;
        int first = (int)floor(at) - 1;
        for (int k = 0; k < 4; k++) {
            int tap = first + k < 0 ? 0 : first + k >= source ? source - 1 : first + k;
            weights[(size_t)i * (size_t)source + (size_t)tap] += cubic(at - (first + k));
        }
    }
}
