/* cells[j * stride + bin] += values[row]: loops.h includes it for each form of the
 * gradients, with ADD_VALUE, ADD_CELL (its vector) and ADD_NAME(name). No guard.
 *
 * The loops are bound by loads and stores. Eight bins are loaded at once, and the usual
 * stride is known to the compiler, which then needs no instruction to find a cell. */
/* Of some columns only: those that the tree has drawn. */
static void ADD_NAME(add_chosen)(const rt_hot_rows *rows, const ADD_CELL *values,
                                 ADD_CELL *restrict cells)
{
    for (int64_t i = 0; i < rows->count; i++) {
        const int64_t row = rows->order[i];
        const uint8_t *bytes = rows->bytes + row * rows->row_bytes;
        const ADD_CELL add = values[row];
        ADD_CELL *at = cells;
        LOOK_AHEAD(rows, i, rows->row_bytes, values);
        /* Row by row, not column by column: a line of bins serves all columns. */
        for (int32_t j = 0; j < rows->features; j++, at += rows->stride) {
            at[bytes[rows->feature[j]]] += add;
        }
    }
}

/* One row's bins of `count` columns, which lie one after the other in `bins`. */
__attribute__((always_inline)) static inline void
ADD_NAME(add_bins)(uint64_t bins, const int32_t count, const ADD_CELL add,
                   ADD_CELL *restrict cells, const int64_t stride)
{
    for (int32_t k = 0; k < count; k++) {
        /* Byte k of the word is column k: the machine is little-endian. `count` is a
         * constant, so the loop is unrolled. */
        cells[k * stride + (int64_t)((bins >> (8 * k)) & 255)] += add;
    }
}

__attribute__((always_inline)) static inline void
ADD_NAME(add_all)(const rt_hot_rows *rows, const ADD_CELL *values,
                  ADD_CELL *restrict cells, const int64_t stride)
{
    const int32_t features = rows->features;
    for (int64_t i = 0; i < rows->count; i++) {
        const int64_t row = rows->order[i];
        const uint8_t *bytes = rows->bytes + row * rows->row_bytes;
        const ADD_CELL add = values[row];
        ADD_CELL *at = cells;
        int32_t j = 0;
        LOOK_AHEAD(rows, i, features, values);
        /* Eight, four, then one by one: no byte beyond the last column is read. */
        for (; j + 8 <= features; j += 8, at += 8 * stride) {
            uint64_t eight;
            memcpy(&eight, bytes + j, sizeof eight);
            ADD_NAME(add_bins)(eight, 8, add, at, stride);
        }
        if (j + 4 <= features) {
            uint32_t four;
            memcpy(&four, bytes + j, sizeof four);
            ADD_NAME(add_bins)(four, 4, add, at, stride);
            j += 4;
            at += 4 * stride;
        }
        for (; j < features; j++, at += stride) {
            at[bytes[j]] += add;
        }
    }
}

static void ADD_NAME(add)(const rt_hot_rows *rows, const ADD_VALUE *values,
                          ADD_VALUE *restrict cells)
{
    /* g and h of the wide form are one vector: a single load, add and store. */
    const ADD_CELL *from = (const ADD_CELL *)values;
    ADD_CELL *to = (ADD_CELL *)cells;
    if (rows->feature != NULL) {
        ADD_NAME(add_chosen)(rows, from, to);
    } else if (rows->stride == RT_HOT_STRIDE) { /* a constant in there */
        ADD_NAME(add_all)(rows, from, to, RT_HOT_STRIDE);
    } else {
        ADD_NAME(add_all)(rows, from, to, rows->stride);
    }
}

#undef ADD_VALUE
#undef ADD_CELL
#undef ADD_NAME
