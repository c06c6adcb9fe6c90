/* Fewer bytes per row, and the bytes of a row side by side. */
#ifndef RT_GBDT_BINS_JOIN_H
#define RT_GBDT_BINS_JOIN_H

#include "gbdt/bins.h"
#include "parallel/team.h"

/* After rt_bins_fill; run by one rank, with barriers before and after. */
void rt_bins_join(rt_bins *bins);

/* From columns to rows; run by all ranks, each its own range. */
void rt_bins_lay_rows(rt_bins *bins, rt_team team);

#endif
