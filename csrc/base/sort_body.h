/* A radix sort, written once for every item type: radix_sort.c includes it with
 * ITEM, KEY(item) and NAMED(name) defined. No include guard.
 *
 * A digit is not a fixed set of bits but lies at the top of (key - least key): the
 * scores of a model share most of their exponent, and fixed digits would spend
 * whole passes on bits that all keys share. */

/* Insertion sort, for parts of a few items: there is no table to clear. */
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

/* *least and the number of bits that (key - *least) may take; 0: all keys are equal. */
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

/* Stable, by the digit of `bits` bits from `shift` up, of which `ends` holds the
 * counts; each bucket's count becomes its end. */
static void NAMED(scatter)(const ITEM *restrict from, ITEM *restrict to, int64_t count,
                           uint64_t least, int32_t shift, int32_t bits,
                           int64_t *restrict ends)
{
    const uint64_t mask = (UINT64_C(1) << bits) - 1;
    int64_t position = 0;
    for (int32_t bucket = 0; bucket < 1 << bits; bucket++) {
        int64_t here = ends[bucket];
        ends[bucket] = position;
        position += here;
    }
    for (int64_t i = 0; i < count; i++) {
        /* Every bucket is written front to back, so lines of memory are filled
         * whole. */
        to[ends[(KEY(from[i]) - least) >> shift & mask]++] = from[i];
    }
}

/* Sorts `items` in place; `other` has room for as many. The head of a key, the top
 * bits of (key - least), has a few bits more than would number the items: sorted by its
 * two digits, the lower one first, most items stand where they belong. Those that share
 * a head are sorted by what is below it. A head takes seven bits or more, so the
 * recursion is at most ten deep. */
static void NAMED(sort_part)(ITEM *items, ITEM *other, int64_t count)
{
    /* 8 KB each: both tables stay in the first cache. */
    int64_t low_ends[1 << DIGIT_BITS];
    int64_t high_ends[1 << DIGIT_BITS];
    uint64_t least = 0;

    if (count <= SMALL_ITEMS) {
        NAMED(insert)(items, count);
        return;
    }
    const int32_t spread = NAMED(spread)(items, count, &least);
    if (spread == 0) {
        return;
    }
    const int32_t head = head_bits(count, spread);
    const int32_t shift = spread - head;
    const int32_t low = head / 2;
    const uint64_t mask = (UINT64_C(1) << low) - 1;
    memset(low_ends, 0, sizeof *low_ends << low);
    memset(high_ends, 0, sizeof *high_ends << (head - low));
    for (int64_t i = 0; i < count; i++) { /* one reading counts both digits */
        const uint64_t top = (KEY(items[i]) - least) >> shift;
        low_ends[top & mask]++;
        high_ends[top >> low]++;
    }
    NAMED(scatter)(items, other, count, least, shift, low, low_ends);
    NAMED(scatter)(other, items, count, least, shift + low, head - low, high_ends);
    for (int64_t begin = 0, end = 1; shift > 0 && begin < count; begin = end++) {
        const uint64_t top = (KEY(items[begin]) - least) >> shift;
        while (end < count && (KEY(items[end]) - least) >> shift == top) {
            end++;
        }
        /* Few, if keys are spread evenly: most such parts are one item. */
        NAMED(sort_part)(items + begin, other + begin, end - begin);
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

/* Each share of the items has a table of its own: no two threads count in one. */
static void NAMED(count_share)(const NAMED(split) *s, int32_t rank)
{
    int64_t *table = s->tables + (int64_t)rank * TOP_BUCKETS;
    int64_t end = rt_range_begin(s->count, rank + 1, s->team);
    for (int64_t i = rt_range_begin(s->count, rank, s->team); i < end; i++) {
        table[(KEY(s->items[i]) - s->least) >> s->shift]++;
    }
}

/* Positions of a (bucket, share) belong to it alone, so threads write without locks. A
 * share keeps its items' order within a bucket. */
static void NAMED(scatter_share)(const NAMED(split) *s, int32_t rank)
{
    int64_t *table = s->tables + (int64_t)rank * TOP_BUCKETS;
    int64_t end = rt_range_begin(s->count, rank + 1, s->team);
    for (int64_t i = rt_range_begin(s->count, rank, s->team); i < end; i++) {
        /* Some milliseconds of work lie between two looks. */
        if (i % BLOCK_ITEMS == 0 && rt_ctl_cancelled(s->ctl)) {
            return;
        }
        s->scratch[table[(KEY(s->items[i]) - s->least) >> s->shift]++] = s->items[i];
    }
}

/* A thread takes the buckets that begin in its share of the items. After the
 * scatter, the last thread's position in a bucket is the bucket's end. */
static void NAMED(finish_share)(const NAMED(split) *s, int32_t rank)
{
    const int64_t *ends = s->tables + (int64_t)(s->team - 1) * TOP_BUCKETS;
    int64_t first = rt_range_begin(s->count, rank, s->team);
    int64_t last = rt_range_begin(s->count, rank + 1, s->team);
    int64_t begin = 0;
    for (int32_t bucket = 0; bucket < TOP_BUCKETS; bucket++) {
        if (begin >= first && begin < last && !rt_ctl_cancelled(s->ctl)) {
            const int64_t here = ends[bucket] - begin;
            /* `items` is free to be the other array here: its range of the bucket is
             * this thread's. */
            NAMED(sort_part)(s->scratch + begin, s->items + begin, here);
            memcpy(s->items + begin, s->scratch + begin, (size_t)here * sizeof(ITEM));
        }
        begin = ends[bucket];
    }
}

/* Counts become the first position of each (bucket, thread): buckets ascend,
 * and within one the threads. */
static void NAMED(to_positions)(const NAMED(split) *s)
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
static void NAMED(run)(const NAMED(split) *s)
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

    /* Neither threads nor tables pay for so few. */
    if (count < TOP_ITEMS) {
        NAMED(sort_part)(items, scratch, count);
        return RT_OK;
    }
    int32_t spread = NAMED(spread)(items, count, &s.least);
    if (spread == 0) {
        return RT_OK;
    }
    /* The top bits of what keys differ by: fixed bits could put all items into one
     * bucket. */
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
