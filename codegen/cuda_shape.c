// Launch shapes; see cuda_shape.h.
#include "codegen/cuda_shape.h"

#include "codegen/render.h"

enum {
    WARP = 32,
    FLAT_THREADS = 256,
    TEAM_THREADS = 128,  // of a block of several teams
    WARP_LANES = 1024,   // the widest row for one warp: 32 values a thread stay in registers
    BLOCK_LANES = 8192,  // the widest row for a block of 256; beyond it 1024
    MAX_CHUNKS = 1024,   // teams of a kernel with column accumulators: eight warps on each of 132 processors
};

// What keeps a kernel from giving each lane its own thread.
static bool has_joint_lanes(const Kernel *kernel)
{
    for (int s = 0; s < kernel->n_stages; s++) {
        const Stage *stage = &kernel->stages[s];
        for (int i = 0; i < stage->n_statements; i++) {
            StatementKind kind = stage->statements[i].kind;
            bool is_once = stage->kind == STAGE_SCALAR && kind == STATEMENT_STORE;
            if (kind == STATEMENT_ACCUMULATE || is_once) {
                return true;
            }
        }
    }
    return false;
}

static int team_of(int64_t lanes)
{
    if (lanes > WARP_LANES) {
        return lanes > BLOCK_LANES ? 1024 : 256;
    }
    int team = 1;
    while (team < WARP && team < lanes) {
        team *= 2;
    }
    return team;
}

CudaShape cuda_shape(const Kernel *kernel)
{
    int64_t rows = kernel_rows(kernel);
    bool has_columns = kernel_columns(kernel) > 0;
    CudaShape shape = {.is_flat = !has_columns && (kernel->lanes == 1 || !has_joint_lanes(kernel)),
                       .team = 1,
                       .per_thread = 1,
                       .threads = FLAT_THREADS};
    if (shape.is_flat) {
        shape.blocks = (rows * kernel->lanes + FLAT_THREADS - 1) / FLAT_THREADS;
        return shape;
    }
    shape.team = team_of(kernel->lanes);
    shape.per_thread = (int)((kernel->lanes + shape.team - 1) / shape.team);
    shape.threads = shape.team > WARP ? shape.team : TEAM_THREADS;
    if (has_columns) {
        shape.chunks = rows < MAX_CHUNKS ? rows : MAX_CHUNKS;
    }
    int64_t teams = has_columns ? shape.chunks : rows;
    int64_t teams_per_block = shape.threads / shape.team;
    shape.blocks = (teams + teams_per_block - 1) / teams_per_block;
    return shape;
}

const Statement *cuda_column(const Kernel *kernel, int n)
{
    for (int s = 0; s < kernel->n_stages; s++) {
        for (int i = 0; i < kernel->stages[s].n_statements; i++) {
            const Statement *statement = &kernel->stages[s].statements[i];
            if (statement->kind == STATEMENT_COLUMN_ACCUMULATE && n-- == 0) {
                return statement;
            }
        }
    }
    XV_BUG("no column %d", n);
}

bool cuda_is_column(const Kernel *kernel, int buffer)
{
    for (int i = 0; i < kernel_columns(kernel); i++) {
        if (cuda_column(kernel, i)->buffer == buffer) {
            return true;
        }
    }
    return false;
}

int64_t cuda_scratch_floats(const Kernel *kernel)
{
    return kernel_columns(kernel) * cuda_shape(kernel).chunks * kernel->lanes;
}

int64_t cuda_attention_chunks(const Program *program, const Step *step)
{
    enum { FIRST_BIAS = 6, BLOCKS = 528 };  // four on each of 132 multiprocessors
    if (step->kind != STEP_ATTENTION_GRAD) {
        return 0;
    }
    int64_t batch = step->reads[0].dim[0], heads = step->reads[0].dim[1], chunks = 0;
    for (int i = FIRST_BIAS; i < step->n_reads; i++) {
        bool is_wanted = program->graph->nodes[step->node].attr.axes >> (i - FIRST_BIAS) & 1u;
        bool has_entries = step->reads[i].dim[0] > 1;  // which differ: no two can be added up
        int64_t wanted = has_entries ? batch : (BLOCKS + heads - 1) / heads;
        chunks = is_wanted && wanted > chunks ? wanted : chunks;
    }
    if (chunks == 0) {
        return 0;
    }
    int64_t entries = chunks < batch ? (batch + chunks - 1) / chunks : 1;
    return (batch + entries - 1) / entries;
}

int64_t cuda_attention_floats(const Program *program, const Step *step)
{
    int64_t chunks = cuda_attention_chunks(program, step);
    return chunks > 0 ? chunks * step->reads[0].dim[1] * step->reads[0].dim[2] * step->reads[1].dim[2] : 0;
}

NodeId cuda_attention_bias(const Program *program, const Step *step)
{
    enum { FIRST_BIAS = 6, FIRST_GRADIENT = 3 };
    uint32_t wanted = step->kind == STEP_ATTENTION_GRAD ? program->graph->nodes[step->node].attr.axes : 0;
    int64_t all[4] = {1, step->reads[0].dim[1], step->reads[0].dim[2], 0};
    if (wanted == 0 || (wanted & (wanted - 1)) != 0) {
        return NO_NODE;
    }
    all[3] = step->reads[1].dim[2];
    int bias = FIRST_BIAS + (wanted > 1);
    for (int i = 0; i < 4; i++) {
        if (step->reads[bias].dim[i] != all[i]) {
            return NO_NODE;
        }
    }
    return step->writes[FIRST_GRADIENT].node;
}
