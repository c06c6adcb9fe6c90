/* Binding of csrc/base: threads and instruction sets. */
#include "python/module.h"

#include <string.h>

#include "base/isa.h"
#include "parallel/threads.h"

PyDoc_STRVAR(default_threads_doc,
             "default_threads() -> int\n\n"
             "min(processors this process may use, cgroup CPU quota), at least 1.");

static PyObject *default_threads(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    return PyLong_FromLong(rt_default_threads());
}

static const char *const isa_names[] = {"baseline", "avx2", "avx512"};

PyDoc_STRVAR(
    isa_doc,
    "isa(level=None) -> str\n\n"
    "The instruction set of the hot loops: 'baseline', 'avx2' or 'avx512'. With "
    "an argument it is forced for the whole process, down or back up; "
    "ValueError if this processor lacks it. Results never depend on it.");

static PyObject *isa(PyObject *Py_UNUSED(module), PyObject *args)
{
    const char *level = NULL;
    if (!PyArg_ParseTuple(args, "|z:isa", &level)) {
        return NULL;
    }
    for (int i = 0; level != NULL && i <= RT_ISA_AVX512 + 1; i++) {
        if (i > RT_ISA_AVX512 ||
            (strcmp(level, isa_names[i]) == 0 && !rt_isa_force((rt_isa)i))) {
            return PyErr_Format(PyExc_ValueError,
                                "there is no instruction set '%s' here", level);
        }
        if (strcmp(level, isa_names[i]) == 0) {
            break;
        }
    }
    return PyUnicode_FromString(isa_names[rt_isa_in_use()]);
}

static PyMethodDef methods[] = {
    {"default_threads", default_threads, METH_NOARGS, default_threads_doc},
    {"isa", isa, METH_VARARGS, isa_doc},
    {NULL, NULL, 0, NULL},
};

int rt_bind_base(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
