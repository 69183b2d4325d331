// One fault in each kernel, in the line that ends with the mark; tests/groups/simt.sh expects the emulator to name the
// kernel, that line and the kind. Launched with one block of 64 threads over 64 numbers.

XV_KERNEL(64) missing_barrier(XvSpan<int32_t> data)
{
    XV_SHARED(int32_t, tile, 64);
    tile[threadIdx.x] = 1;
    if (threadIdx.x >= 32) {
        data[threadIdx.x] = tile[threadIdx.x - 32];  // FAULT race
    }
}
XV_ENTRY(missing_barrier)

XV_KERNEL(64) missing_warp_sync(XvSpan<int32_t> data)
{
    XV_SHARED(int32_t, tile, 64);
    const int t = (int)threadIdx.x;
    tile[t] = t;
    if (t % 2 == 1) {
        data[t] = tile[t - 1];  // FAULT race
    }
}
XV_ENTRY(missing_warp_sync)

// The numbers are exchanged, but the second round writes while slower threads may still read the first.
XV_KERNEL(64) write_after_read(XvSpan<int32_t> data)
{
    XV_SHARED(int32_t, tile, 64);
    const int t = (int)threadIdx.x;
    tile[t] = t;
    xv_sync_block();
    data[t] = tile[63 - t];  // FAULT race
    tile[t] = 2 * t;
    xv_sync_block();
}
XV_ENTRY(write_after_read)

XV_KERNEL(64) racy_store(XvSpan<int32_t> data)
{
    XV_SHARED(int32_t, last, 1);
    last[0] = (int32_t)threadIdx.x;  // FAULT race
    xv_sync_block();
    data[threadIdx.x] = last[0];
}
XV_ENTRY(racy_store)

XV_KERNEL(64) off_by_one(XvSpan<int32_t> data)
{
    data[threadIdx.x + 1] = 0;  // FAULT outside a buffer
}
XV_ENTRY(off_by_one)

XV_KERNEL(64) negative_index(XvSpan<int32_t> data)
{
    data[0] = data[(int)threadIdx.x - 8];  // FAULT outside a buffer
}
XV_ENTRY(negative_index)

XV_KERNEL(64) shared_off_by_one(XvSpan<int32_t> data)
{
    XV_SHARED(int32_t, tile, 63);
    tile[threadIdx.x] = 0;  // FAULT outside a shared array
    xv_sync_block();
    data[threadIdx.x] = tile[0];
}
XV_ENTRY(shared_off_by_one)

XV_KERNEL(64) uninitialised(XvSpan<int32_t> data)
{
    XV_SHARED(int32_t, tile, 65);
    tile[threadIdx.x] = 0;
    xv_sync_block();
    data[threadIdx.x] = tile[threadIdx.x + 1];  // FAULT nothing wrote
}
XV_ENTRY(uninitialised)

XV_KERNEL(64) divergent_barrier(XvSpan<int32_t> data)
{
    if (threadIdx.x < 40) {
        xv_sync_block();  // FAULT divergent barrier: 40 of 64
    }
    data[threadIdx.x] = 0;
}
XV_ENTRY(divergent_barrier)

XV_KERNEL(64) two_barriers(XvSpan<int32_t> data)
{
    if (threadIdx.x < 32) {
        xv_sync_block();  // FAULT divergent barrier: 32 of 64
    } else {
        xv_sync_block();
    }
    data[threadIdx.x] = 0;
}
XV_ENTRY(two_barriers)

XV_KERNEL(64) divergent_shuffle(XvSpan<int32_t> data)
{
    if (threadIdx.x % 32 < 20) {
        data[threadIdx.x] = xv_shuffle(0xffffffffu, 1, 0);  // FAULT divergent xv_shuffle
    }
}
XV_ENTRY(divergent_shuffle)

XV_KERNEL(64) foreign_mask(XvSpan<int32_t> data)
{
    data[threadIdx.x] = xv_ballot(0x0000ffffu, true);  // FAULT does not hold the calling lane
}
XV_ENTRY(foreign_mask)

XV_KERNEL(64) barrier_in_a_warp(XvSpan<int32_t> data)
{
    if (threadIdx.x < 32) {
        xv_sync_warp();
    } else if (threadIdx.x < 48) {
        xv_sync_warp();  // FAULT divergent xv_sync_warp
    }
    data[threadIdx.x] = 0;
}
XV_ENTRY(barrier_in_a_warp)

// Asynchronous copies and matrices -------------------------------------------------------------------------------

XV_KERNEL(64) missing_wait(XvSpan<int32_t> data)
{
    XV_SHARED(int32_t, tile, 64);
    const XvSpan<const int32_t> source = {data.at, data.count};
    if (threadIdx.x < 16) {
        xv_copy_async(tile, 4 * (int)threadIdx.x, source, 4 * threadIdx.x, true);
    }
    xv_copy_commit();
    xv_sync_block();
    data[threadIdx.x] = tile[threadIdx.x];  // FAULT has not waited
}
XV_ENTRY(missing_wait)

// Waits for all groups but the last, which is the one that is read.
XV_KERNEL(64) early_wait(XvSpan<int32_t> data)
{
    XV_SHARED(int32_t, tile, 128);
    const XvSpan<const int32_t> source = {data.at, data.count};
    for (int part = 0; part < 2; part++) {
        if (threadIdx.x < 16) {
            xv_copy_async(tile, 64 * part + 4 * (int)threadIdx.x, source, 4 * threadIdx.x, true);
        }
        xv_copy_commit();
    }
    xv_copy_wait<1>();
    xv_sync_block();
    data[threadIdx.x] = tile[64 + threadIdx.x];  // FAULT has not waited
}
XV_ENTRY(early_wait)

XV_KERNEL(64) wait_without_barrier(XvSpan<int32_t> data)
{
    XV_SHARED(int32_t, tile, 64);
    const XvSpan<const int32_t> source = {data.at, data.count};
    if (threadIdx.x < 16) {
        xv_copy_async(tile, 4 * (int)threadIdx.x, source, 4 * threadIdx.x, true);
    }
    xv_copy_commit();
    xv_copy_wait<0>();
    if (threadIdx.x >= 32) {
        data[threadIdx.x] = tile[threadIdx.x - 32];  // FAULT race
    }
}
XV_ENTRY(wait_without_barrier)

XV_KERNEL(64) copy_over_readers(XvSpan<int32_t> data)
{
    XV_SHARED(int32_t, tile, 64);
    const XvSpan<const int32_t> source = {data.at, data.count};
    tile[threadIdx.x] = 0;
    xv_sync_block();
    const int32_t zero = tile[63 - threadIdx.x];
    if (threadIdx.x >= 48) {
        xv_copy_async(tile, 4 * ((int)threadIdx.x - 48), source, 0, true);  // FAULT race
    }
    xv_copy_wait<0>();
    data[threadIdx.x] = zero;
}
XV_ENTRY(copy_over_readers)

XV_KERNEL(64) copy_from_outside(XvSpan<int32_t> data)
{
    XV_SHARED(int32_t, tile, 68);
    const XvSpan<const int32_t> source = {data.at, data.count};
    if (threadIdx.x < 17) {
        xv_copy_async(tile, 4 * (int)threadIdx.x, source, 4 * threadIdx.x, true);  // FAULT outside a buffer
    }
    xv_copy_wait<0>();
}
XV_ENTRY(copy_from_outside)

XV_KERNEL(64) copy_beside_16_bytes(XvSpan<int32_t> data)
{
    XV_SHARED(int32_t, tile, 64);
    const XvSpan<const int32_t> source = {data.at, data.count};
    xv_copy_async(tile, 0, source, 2, threadIdx.x == 0);  // FAULT not on 16 bytes
    xv_copy_wait<0>();
}
XV_ENTRY(copy_beside_16_bytes)

XV_KERNEL(64) matrix_uninitialised(XvSpan<int32_t> data)
{
    XV_SHARED(XvBf16, tile, 16 * 16);
    uint32_t rows[4];
    for (int e = (int)threadIdx.x; e < 16 * 16 - 1; e += 64) {
        tile[e] = XvBf16(1.0f);
    }
    xv_sync_block();
    xv_load_matrix<false>(rows, tile, (int)threadIdx.x % 32 * 8);  // FAULT nothing wrote
    data[threadIdx.x] = (int32_t)rows[0];
}
XV_ENTRY(matrix_uninitialised)

XV_KERNEL(64) matrix_off_by_one(XvSpan<int32_t> data)
{
    XV_SHARED(XvBf16, tile, 16 * 16);
    uint32_t rows[4];
    for (int e = (int)threadIdx.x; e < 16 * 16; e += 64) {
        tile[e] = XvBf16(1.0f);
    }
    xv_sync_block();
    xv_load_matrix<true>(rows, tile, ((int)threadIdx.x % 32 + 1) * 8);  // FAULT outside a shared array
    data[threadIdx.x] = (int32_t)rows[0];
}
XV_ENTRY(matrix_off_by_one)

XV_KERNEL(64) matrix_missing_barrier(XvSpan<int32_t> data)
{
    XV_SHARED(XvBf16, tile, 16 * 16);
    uint32_t rows[4];
    for (int e = (int)threadIdx.x; e < 16 * 16; e += 64) {
        tile[e] = XvBf16(1.0f);
    }
    xv_sync_warp();
    xv_load_matrix<false>(rows, tile, (int)threadIdx.x % 32 * 8);  // FAULT nothing wrote|race
    data[threadIdx.x] = (int32_t)rows[0];
}
XV_ENTRY(matrix_missing_barrier)

XV_KERNEL(64) matrix_beside_16_bytes(XvSpan<int32_t> data)
{
    XV_SHARED(XvBf16, tile, 17 * 16);
    uint32_t rows[4];
    for (int e = (int)threadIdx.x; e < 17 * 16; e += 64) {
        tile[e] = XvBf16(1.0f);
    }
    xv_sync_block();
    xv_load_matrix<false>(rows, tile, (int)threadIdx.x % 32 * 8 + 1);  // FAULT not on 16 bytes
    data[threadIdx.x] = (int32_t)rows[0];
}
XV_ENTRY(matrix_beside_16_bytes)

XV_KERNEL(64) divergent_product(XvSpan<int32_t> data)
{
    const uint32_t a[4] = {}, b[2] = {};
    float c[4] = {};
    if (threadIdx.x % 32 < 31) {
        xv_multiply<XvF16>(c, a, b);  // FAULT divergent xv_multiply
    }
    data[threadIdx.x] = (int32_t)c[0];
}
XV_ENTRY(divergent_product)
