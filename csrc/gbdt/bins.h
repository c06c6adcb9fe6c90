/* Columns to bytes: every value becomes the number of its bin.
 *
 * Numeric: bin b holds upper[b-1] < x <= upper[b], the last upper is +inf. The
 * inner uppers are the only thresholds a split can have. Categorical: bin b
 * holds the level level_of_bin[b]. In both cases bin `n_bins` is for what is
 * missing (NaN, a level outside the list, a level too rare for a bin).
 *
 * A byte tells RT_MAX_BINS bins apart. Levels beyond that go on in further bytes: each
 * is a cut of its own, a part, to which the levels of all others are missing.
 *
 * Rows of bytes lie one after the other (row-major), since below the root a
 * histogram visits scattered rows: one cache line then serves all features. A split
 * asks for one feature of scattered rows and reads a copy that lies column by column:
 * a line then serves up to 64 rows, and a column often stays in the cache.
 *
 * Columns with few bins share a byte, as digits of one number: a histogram over the
 * byte's values costs one addition per row for all of them, and each column's own is
 * the exact sum over the other digits. Such bytes are joined further where few of
 * their combinations occur (bins_join.c). */
#ifndef RT_GBDT_BINS_H
#define RT_GBDT_BINS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/ctl.h"
#include "base/matrix.h"
#include "base/status.h"
#include "gbdt/simd/dispatch.h"
#include "parallel/team.h"

typedef struct rt_cut {
    int32_t column;          /* of the matrix */
    int32_t levels;          /* as in rt_forest */
    struct rt_cut *more;     /* the part that its levels go on in, or NULL */
    int32_t n_bins;          /* without the missing bin */
    atomic_bool has_missing; /* some row lies in the missing bin; by rt_bins_fill */
    double *upper;           /* numeric: [n_bins] */
    float *narrow;         /* numeric: [256] the inner uppers for float32, then +inf */
    int32_t *level_of_bin; /* categorical: [n_bins], ascending */
    uint8_t *bin_of_level; /* categorical: [levels] */
    int32_t group;         /* which byte of a row holds it */
    int32_t step;          /* of its digit, while the byte is filled */
    bool opens;            /* it is the byte's first digit */
    uint8_t bin_of_byte[256];
} rt_cut;

/* What is needed until the rows are laid; then rt_bins_drop_workspace. */
typedef struct rt_bins_making {
    const int32_t *source; /* [rows] row of the matrix, or NULL: all of them */
    int32_t *sample;       /* rows that numeric cuts are made from, or NULL: all */
    int64_t n_sample;
    int32_t max_bins;
    int32_t threads; /* that cut, each `cut_columns` together */
    int32_t cut_columns;
    uint64_t **keys;    /* [threads] of their columns and a spare, or level counts */
    uint8_t *pairs;     /* [RT_BYTE_PAIRS] */
    int32_t *new_group; /* [n_cuts] */
} rt_bins_making;

typedef struct rt_bins {
    const rt_hot *hot;
    int64_t rows;
    int32_t features;
    int32_t n_cuts;       /* of the features, then of further parts */
    int32_t groups;       /* bytes in use, by rt_bins_group and rt_bins_join */
    int32_t digit_groups; /* of them hold digits */
    bool joint;           /* some byte holds more than one feature */
    int32_t stride;       /* bytes from one row to the next */
    uint8_t *bytes;
    uint8_t *columns; /* the same bytes again, column by column */
    rt_cut *cuts;
    void *arena; /* backs the arrays of all cuts */
    rt_bins_making making;
} rt_bins;

/* Above this many rows the cuts of numeric columns come from about so many, drawn
 * by a hash of the row's number: a quantile then errs by a thousandth of the rows. */
enum {
    RT_CUT_ROWS = 200000,
    RT_BYTE_PAIRS = 1 << 16,
    RT_DIGITS_MAX = 16,
    RT_PARTS_MAX = 4, /* of a feature: each costs a byte of every row */
    RT_ROW_ALIGNMENT = 8
};

/* Allocates for `rows` rows; `levels` as in rt_forest. */
RT_CHECKED rt_status rt_bins_init(rt_bins *bins, int64_t rows, int32_t features,
                                  const int32_t *levels, int32_t max_bins,
                                  int32_t threads, rt_error *err);

/* One after the other, with barriers between them, then those of bins_join.h: _group is
 * run by one rank, the others by all. Cancellation leaves the bins unfinished; the
 * caller looks at `ctl` afterwards. */
void rt_bins_cut(rt_bins *bins, const rt_matrix *x, rt_team team, rt_ctl *ctl);
void rt_bins_group(rt_bins *bins);
void rt_bins_fill(rt_bins *bins, const rt_matrix *x, rt_team team, rt_ctl *ctl);

/* The workspace is needed until the rows are laid. */
void rt_bins_drop_workspace(rt_bins *bins);
void rt_bins_clear(rt_bins *bins);

/* Has it any rows? The first of a feature always counts. */
static inline bool rt_cut_in_use(const rt_bins *bins, int32_t cut)
{
    return cut < bins->features || bins->cuts[cut].n_bins > 0;
}

/* Do its levels go on in further parts? */
static inline bool rt_cut_has_parts(const rt_cut *cut)
{
    return cut->more != NULL && cut->more->n_bins > 0;
}

/* Smallest bin with x <= upper[bin]. */
int32_t rt_bin_of_number(const rt_cut *cut, double x);

/* Bin of a category index held as a number; `n_bins` unless it is a whole
 * number in [0, levels). */
int32_t rt_bin_of_level(const rt_cut *cut, double x);

/* [rows] bytes of the cut, which may hold other features' digits too. */
static inline uint8_t *rt_bins_column(const rt_bins *bins, const rt_cut *cut)
{
    return bins->columns + cut->group * bins->rows;
}

/* The feature shares its byte, or could: the byte holds digits. */
static inline bool rt_cut_has_digits(const rt_cut *cut)
{
    return cut->n_bins < RT_DIGITS_MAX &&
           cut->n_bins + (atomic_load(&cut->has_missing) ? 1 : 0) > 0;
}

#endif
