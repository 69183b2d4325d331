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
