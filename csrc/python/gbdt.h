/* gbdt_train and its neighbours. */
#ifndef RT_PYTHON_GBDT_H
#define RT_PYTHON_GBDT_H

#include "python/module.h"

#include "gbdt/forest.h"

/* 'binary', 'softmax' or 'squared_error' */
const char *rt_py_objective(rt_loss loss);

#endif
