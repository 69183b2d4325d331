// Kernels without a fault: what they compute is checked in the last line of each, so that a wrong lane shows as a wrong
// number, and what the detectors must accept. Each is launched with two blocks; see tests/groups/simt.sh.

// A block reverses its numbers through shared memory, in two orders of access.
XV_KERNEL(96) reversal(XvSpan<int32_t> data)
{
    XV_SHARED(int32_t, tile, 96);
    const int t = (int)threadIdx.x, first = (int)blockIdx.x * 96;
    tile[t] = data[first + t];
    xv_sync_block();
    const int32_t mirrored = tile[95 - t];
    xv_sync_block();
    tile[t] = mirrored;
    data[first + t] = tile[t];
}
XV_ENTRY(reversal)

// Shuffles, votes and sums of teams against what they must be; a wrong lane writes -1.
XV_KERNEL(64) collectives(XvSpan<int32_t> data)
{
    const int t = (int)threadIdx.x, lane = t % 32;
    bool is_good = xv_shuffle(0xffffffffu, t, 5) == t / 32 * 32 + 5;
    is_good = is_good && xv_shuffle_xor(0xffffffffu, t, 3) == (t ^ 3);
    is_good = is_good && xv_ballot(0xffffffffu, lane < 7) == 0x7fu;
    is_good = is_good && xv_any(0xffffffffu, lane == 31) && !xv_all(0xffffffffu, lane == 31);
    is_good = is_good && xv_team_reduce<8, XvSum>(lane) == 8 * (lane / 8 * 8) + 28;
    is_good = is_good && xv_team_reduce<32, XvMaximum>(lane) == 31;
    is_good = is_good && xv_team_reduce<64, XvSum>(t) == 2016;
    const XvPicked picked = xv_team_reduce<16, XvArgmax>(XvPicked{(float)(lane % 16 / 4), lane % 16});
    is_good = is_good && picked.lane == 12;
    data[blockIdx.x * 64 + t] = is_good ? t : -1;
}
XV_ENTRY(collectives)

// Half a warp works with its own mask while the other half does something else.
XV_KERNEL(32) halves(XvSpan<int32_t> data)
{
    const int lane = (int)threadIdx.x;
    int32_t value = lane;
    if (lane < 16) {
        value = xv_shuffle(0x0000ffffu, lane, 15 - lane);
    } else if (xv_any(0xffff0000u, lane == 20)) {
        value = xv_team_reduce<16, XvSum>(1);
    }
    data[blockIdx.x * 32 + lane] = value;
}
XV_ENTRY(halves)

// Synchronising the warp orders its own accesses, block barriers the rest.
XV_KERNEL(64) ordered(XvSpan<int32_t> data)
{
    XV_SHARED(int32_t, tile, 64);
    const int t = (int)threadIdx.x;
    tile[t] = t;
    xv_sync_warp();
    const int32_t neighbour = tile[t ^ 1];
    xv_sync_warp();
    tile[t ^ 1] = neighbour + 100;
    xv_sync_block();
    data[blockIdx.x * 64 + t] = tile[63 - t];
}
XV_ENTRY(ordered)

XV_KERNEL(64) counter(XvSpan<int32_t> data)
{
    xv_atomic_add(data, 0, 1);
}
XV_ENTRY(counter)
