// Outlines of the shapes and distances to them; see scenes.h.
//
// Every shape but circle and ring is a polygon in unit coordinates, turned, scaled and moved to its place.
#include "runtime/tools/scenes.h"

#include <math.h>

static const double PI = 3.14159265358979323846;

typedef struct Polygon {
    int n_points;
    double x[40], y[40];
} Polygon;

static void add_point(Polygon *polygon, double x, double y)
{
    polygon->x[polygon->n_points] = x;
    polygon->y[polygon->n_points] = y;
    polygon->n_points++;
}

static void add_points(Polygon *polygon, const double (*points)[2], int n_points)
{
    for (int i = 0; i < n_points; i++) {
        add_point(polygon, points[i][0], points[i][1]);
    }
}

static void add_star(Polygon *polygon)
{
    for (int i = 0; i < 10; i++) {
        double radius = i % 2 ? 0.45 : 1.05;
        double angle = PI * i / 5 - PI / 2;
        add_point(polygon, radius * cos(angle), radius * sin(angle));
    }
}

static void add_cross(Polygon *polygon)
{
    const double a = 0.34, b = 0.98;
    const double points[12][2] = {{-a, -b}, {a, -b}, {a, -a}, {b, -a}, {b, a},   {a, a},
                                  {a, b},   {-a, b}, {-a, a}, {-b, a}, {-b, -a}, {-a, -a}};
    add_points(polygon, points, 12);
}

// The heart curve x = sin^3 t with cosines of t, 2t, 3t, 4t for y.
static void add_heart(Polygon *polygon)
{
    for (int i = 0; i < 32; i++) {
        double t = 2 * PI * i / 32;
        double x = pow(sin(t), 3);
        double y = -(13 * cos(t) - 5 * cos(2 * t) - 2 * cos(3 * t) - cos(4 * t)) / 15;
        add_point(polygon, x, y - 0.1);
    }
}

// A disc from which a second disc, shifted sideways, has bitten: outer arc one way, inner arc back.
static void add_moon(Polygon *polygon)
{
    const double shift = 0.55, bite = 0.85;
    double corner_x = (1 - bite * bite + shift * shift) / (2 * shift);
    double outer = acos(corner_x), inner = acos((corner_x - shift) / bite);
    for (int i = 0; i < 18; i++) {
        double angle = outer + (2 * PI - 2 * outer) * i / 17;
        add_point(polygon, cos(angle) + 0.3, sin(angle));
    }
    for (int i = 1; i < 15; i++) {
        double angle = 2 * PI - inner - (2 * PI - 2 * inner) * i / 15;
        add_point(polygon, shift + bite * cos(angle) + 0.3, bite * sin(angle));
    }
}

static Polygon unit_polygon(int shape)
{
    static const double SQUARE[][2] = {{-0.82, -0.82}, {0.82, -0.82}, {0.82, 0.82}, {-0.82, 0.82}};
    static const double TRIANGLE[][2] = {{0, -0.95}, {1.0, 0.8}, {-1.0, 0.8}};
    static const double DIAMOND[][2] = {{0, -1.1}, {0.72, 0}, {0, 1.1}, {-0.72, 0}};
    static const double ARROW[][2] = {{0, -1.05},   {0.85, -0.1},  {0.33, -0.1}, {0.33, 1.0},
                                      {-0.33, 1.0}, {-0.33, -0.1}, {-0.85, -0.1}};
    Polygon polygon = {.n_points = 0};
    switch (shape) {
    case 1: add_points(&polygon, SQUARE, 4); break;
    case 2: add_points(&polygon, TRIANGLE, 3); break;
    case 3: add_star(&polygon); break;
    case 4: add_heart(&polygon); break;
    case 5: add_cross(&polygon); break;
    case 7: add_points(&polygon, DIAMOND, 4); break;
    case 8: add_points(&polygon, ARROW, 7); break;
    case 9: add_moon(&polygon); break;
    default: break;
    }
    return polygon;
}

XvOutline xv_outline(const XvSceneObject *object, int pixels)
{
    Polygon polygon = unit_polygon(object->shape);
    XvOutline outline = {
        .n_points = polygon.n_points,
        .centre_x = object->x * pixels,
        .centre_y = object->y * pixels,
        .radius = object->radius * pixels,
        .thickness = object->shape == XV_SHAPE_RING ? 0.36 * object->radius * pixels : 0,
    };
    double cosine = cos(object->angle), sine = sin(object->angle);
    for (int i = 0; i < polygon.n_points; i++) {
        double x = polygon.x[i] * outline.radius, y = polygon.y[i] * outline.radius;
        outline.x[i] = outline.centre_x + cosine * x - sine * y;
        outline.y[i] = outline.centre_y + sine * x + cosine * y;
    }
    for (int i = 0; i < polygon.n_points; i++) {
        int next = (i + 1) % polygon.n_points;
        double dx = outline.x[next] - outline.x[i], dy = outline.y[next] - outline.y[i];
        outline.inverse[i] = 1 / (dx * dx + dy * dy);
    }
    return outline;
}

static double polygon_distance(const XvOutline *outline, double x, double y)
{
    double best = 1e30;
    bool is_inside = false;
    for (int i = 0; i < outline->n_points; i++) {
        int next = i + 1 < outline->n_points ? i + 1 : 0;
        double dx = outline->x[next] - outline->x[i], dy = outline->y[next] - outline->y[i];
        double px = x - outline->x[i], py = y - outline->y[i];
        double along = (px * dx + py * dy) * outline->inverse[i];
        along = along < 0 ? 0 : along > 1 ? 1 : along;
        double ex = px - along * dx, ey = py - along * dy;
        double squared = ex * ex + ey * ey;
        best = squared < best ? squared : best;
        // A ray to the right crosses the edges whose ends lie on different sides of it.
        bool crosses = (py < 0) != (py < dy);
        is_inside ^= crosses && (px * dy < py * dx) == (dy > 0);
    }
    double distance = sqrt(best);
    return is_inside ? -distance : distance;
}

double xv_outline_distance(const XvOutline *outline, double x, double y)
{
    if (outline->n_points > 0) {
        return polygon_distance(outline, x, y);
    }
    double from_centre = hypot(x - outline->centre_x, y - outline->centre_y);
    double outside = from_centre - outline->radius;
    double hole = outline->radius - outline->thickness - from_centre;
    return outline->thickness > 0 && hole > outside ? hole : outside;
}

XvBox xv_outline_box(const XvOutline *outline, int pixels)
{
    double low_x = outline->centre_x, low_y = outline->centre_y, high_x = low_x, high_y = low_y;
    if (outline->n_points == 0) {
        low_x -= outline->radius, high_x += outline->radius;
        low_y -= outline->radius, high_y += outline->radius;
    }
    for (int i = 0; i < outline->n_points; i++) {
        low_x = fmin(low_x, outline->x[i]), high_x = fmax(high_x, outline->x[i]);
        low_y = fmin(low_y, outline->y[i]), high_y = fmax(high_y, outline->y[i]);
    }
    XvBox box;
    box.x = (int)fmax(0, floor(low_x));
    box.y = (int)fmax(0, floor(low_y));
    box.w = (int)fmin(pixels, ceil(high_x)) - box.x;
    box.h = (int)fmin(pixels, ceil(high_y)) - box.y;
    return box;
}
