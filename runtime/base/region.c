// Regions are anonymous mappings: zeroed without work, aligned, and huge pages where the system has them.
#include "runtime/base/region.h"

#include "runtime/base/format.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

bool xv_region_create(XvRegion *region, size_t bytes, const char *what, XvError *error)
{
    size_t mapped = bytes ? bytes : 1;
    void *data = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) {
        char size[XV_FORMAT_SIZE];
        return xv_fail(error, "no memory for %s: %s wanted (%s)", what, xv_format_bytes(size, (double)bytes),
                       strerror(errno));
    }
    madvise(data, mapped,
            MADV_HUGEPAGE);  // a wish; fewer page faults and translation misses where it is granted
    *region = (XvRegion){data, bytes};
    return true;
}

void xv_region_free(XvRegion *region)
{
    if (region->data) {
        munmap(region->data, region->bytes ? region->bytes : 1);
    }
    *region = (XvRegion){0};
}
