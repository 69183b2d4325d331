// libFuzzer target over the unpickler: any bytes end as a tree that can be written out, or as a message; nothing is run
// and nothing crashes.
#include "runtime/checkpoint/pickle.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_WRITTEN = 100000 };  // values: writing out is not what is tested here

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int use = XV_PICKLE_DATA; use <= XV_PICKLE_CHECKPOINT; use++) {
        XvPickleTree tree;
        XvError error = {{0}};
        if (xv_pickle_read(&tree, data, size, (XvPickleUse)use, &error)) {
            if (tree.end > size) {
                abort();
            }
            char *json = tree.root->weight < MOST_WRITTEN ? xv_pickle_json(tree.root) : NULL;
            free(json);
            xv_pickle_free(&tree);
        } else if (!*error.text) {
            abort();
        }
    }
    return 0;
}
