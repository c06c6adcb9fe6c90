/* Most significant digit first, written once for every item type: radix_sort.c
 * includes it with ITEM, KEY(item) and NAMED(name) defined. No include guard.
 *
 * A digit is not a fixed set of bits but the top bits of (key - least key): the
 * scores of a model share most of their exponent, and fixed digits would spend
 * whole passes on bits that all keys share. One split through memory leaves
 * parts that fit the cache; these are split again until insertion wins. */

static void NAMED(insert)(ITEM *items, int64_t count)
{
    for (int64_t i = 1; i < count; i++) {
        ITEM item = items[i];
        int64_t at = i;
        while (at > 0 && KEY(items[at - 1]) > KEY(item)) {
            items[at] = items[at - 1];
            at--;
        }
        items[at] = item;
    }
}

/* *least and the number of bits that (key - *least) may take. */
static int32_t NAMED(spread)(const ITEM *items, int64_t count, uint64_t *least)
{
    uint64_t low = KEY(items[0]);
    uint64_t high = low;
    for (int64_t i = 1; i < count; i++) {
        uint64_t key = KEY(items[i]);
        low = key < low ? key : low;
        high = key > high ? key : high;
    }
    *least = low;
    return bits_of(high - low);
}

/* Sorts `items` into itself, or into `other` when `away`; both are overwritten.
 * Every level removes at least one bit of the spread, and eight where there are
 * many items, so the recursion is at most some tens deep. */
static void NAMED(sort_part)(ITEM *items, ITEM *other, int64_t count, bool away)
{
    int64_t ends[1 << PART_BITS];
    uint64_t least = 0;
    int32_t spread = 0;

    if (count > SMALL_ITEMS) {
        spread = NAMED(spread)(items, count, &least);
    } else {
        NAMED(insert)(items, count);
    }
    if (spread == 0) { /* in order already, or all keys are equal */
        if (away && count > 0) {
            memcpy(other, items, (size_t)count * sizeof *items);
        }
        return;
    }
    int32_t bits = digit_bits(count, PART_BITS);
    int32_t shift = spread > bits ? spread - bits : 0;
    memset(ends, 0, sizeof *ends << bits);
    for (int64_t i = 0; i < count; i++) {
        ends[(KEY(items[i]) - least) >> shift]++;
    }
    int64_t position = 0;
    for (int32_t bucket = 0; bucket < 1 << bits; bucket++) {
        int64_t here = ends[bucket];
        ends[bucket] = position;
        position += here;
    }
    for (int64_t i = 0; i < count; i++) { /* moves each start to its end */
        other[ends[(KEY(items[i]) - least) >> shift]++] = items[i];
    }
    int64_t begin = 0;
    for (int32_t bucket = 0; bucket < 1 << bits; bucket++) {
        NAMED(sort_part)(other + begin, items + begin, ends[bucket] - begin, !away);
        begin = ends[bucket];
    }
}

typedef struct NAMED(split) {
    ITEM *items, *scratch;
    int64_t count;
    uint64_t least;
    int32_t shift, team;
    int64_t *tables; /* team x TOP_BUCKETS counts, then positions */
    rt_ctl *ctl;
} NAMED(split);

static void NAMED(count_share)(const NAMED(split) * s, int32_t rank)
{
    int64_t *table = s->tables + (int64_t)rank * TOP_BUCKETS;
    int64_t end = rt_range_begin(s->count, rank + 1, s->team);
    for (int64_t i = rt_range_begin(s->count, rank, s->team); i < end; i++) {
        table[(KEY(s->items[i]) - s->least) >> s->shift]++;
    }
}

static void NAMED(scatter_share)(const NAMED(split) * s, int32_t rank)
{
    int64_t *table = s->tables + (int64_t)rank * TOP_BUCKETS;
    int64_t end = rt_range_begin(s->count, rank + 1, s->team);
    for (int64_t i = rt_range_begin(s->count, rank, s->team); i < end; i++) {
        if (i % BLOCK_ITEMS == 0 && rt_ctl_cancelled(s->ctl)) {
            return;
        }
        s->scratch[table[(KEY(s->items[i]) - s->least) >> s->shift]++] = s->items[i];
    }
}

/* A thread takes the buckets that begin in its share of the items. After the
 * scatter, the last thread's position in a bucket is the bucket's end. */
static void NAMED(finish_share)(const NAMED(split) * s, int32_t rank)
{
    const int64_t *ends = s->tables + (int64_t)(s->team - 1) * TOP_BUCKETS;
    int64_t first = rt_range_begin(s->count, rank, s->team);
    int64_t last = rt_range_begin(s->count, rank + 1, s->team);
    int64_t begin = 0;
    for (int32_t bucket = 0; bucket < TOP_BUCKETS; bucket++) {
        if (begin >= first && begin < last && !rt_ctl_cancelled(s->ctl)) {
            NAMED(sort_part)
            (s->scratch + begin, s->items + begin, ends[bucket] - begin, true);
        }
        begin = ends[bucket];
    }
}

/* Counts become the first position of each (bucket, thread): buckets ascend,
 * and within one the threads. */
static void NAMED(to_positions)(const NAMED(split) * s)
{
    int64_t position = 0;
    for (int32_t bucket = 0; bucket < TOP_BUCKETS; bucket++) {
        for (int32_t rank = 0; rank < s->team; rank++) {
            int64_t *cell = &s->tables[(int64_t)rank * TOP_BUCKETS + bucket];
            int64_t here = *cell;
            *cell = position;
            position += here;
        }
    }
    assert(position == s->count);
}

/* The three phases are separate regions: all threads must have counted before
 * the first scatters, and scattered before the first sorts a bucket. The loop
 * runs over shares, not threads, so that a smaller team does them all too. */
static void NAMED(run)(const NAMED(split) * s)
{
#pragma omp parallel for num_threads(s->team) schedule(static)
    for (int32_t rank = 0; rank < s->team; rank++) {
        NAMED(count_share)(s, rank);
    }
    NAMED(to_positions)(s);
#pragma omp parallel for num_threads(s->team) schedule(static)
    for (int32_t rank = 0; rank < s->team; rank++) {
        NAMED(scatter_share)(s, rank);
    }
#pragma omp parallel for num_threads(s->team) schedule(static)
    for (int32_t rank = 0; rank < s->team; rank++) {
        NAMED(finish_share)(s, rank);
    }
}

rt_status NAMED(rt_sort)(ITEM *items, ITEM *scratch, int64_t count, int32_t n_threads,
                         rt_ctl *ctl, rt_error *err)
{
    static const char where[] = "rt_sort";
    NAMED(split)
    s = {items, scratch, count, 0, 0, n_threads > 1 ? n_threads : 1, NULL, ctl};
    void *tables = NULL;

    if (count < TOP_ITEMS) {
        NAMED(sort_part)(items, scratch, count, false);
        return RT_OK;
    }
    int32_t spread = NAMED(spread)(items, count, &s.least);
    if (spread == 0) {
        return RT_OK;
    }
    s.shift = spread > TOP_BITS ? spread - TOP_BITS : 0;
    rt_status status =
        rt_alloc(&tables, (int64_t)s.team * TOP_BUCKETS, sizeof *s.tables, where, err);
    if (status == RT_OK) {
        s.tables = tables;
        NAMED(run)(&s);
        if (rt_ctl_cancelled(ctl)) {
            status = rt_fail(err, RT_CANCELLED, where, "cancelled while sorting");
        }
    }
    rt_free(tables);
    return status;
}
