// The Python module of the autograd kernels. Importing it registers them. It also has fast paths
// from Python to the psi ops, as torch has for each of its own ops: torch.ops takes longer to parse
// the arguments than the kernel takes for a small tensor.
//
// Of Python it calls only functions of the stable ABI of 3.10, so that one library serves all later
// versions. That rules out pybind11, which torch's headers include.
#include <cmath>

#include <ATen/PythonTorchFunctionTLS.h>
#include <ATen/TracerMode.h>
#include <torch/csrc/Exceptions.h>
#include <torch/csrc/autograd/python_variable.h>

#include "rrelu.h"
#include "rrelu_direct.h"

namespace originet::autograd {
namespace {

// The tensor if it is of torch's own types, of a supported dtype, and has memory; otherwise null.
// Subclasses, which may override functions in Python, are left to originet_ext/rrelu.py.
const Tensor* plain(PyObject* object) {
  if (!THPVariable_CheckExact(object)) {
    return nullptr;
  }
  const Tensor& tensor = THPVariable_Unpack(object);
  const bool strided = tensor.layout() == at::kStrided && !tensor.is_nested() &&
                       !tensor.unsafeGetTensorImpl()->has_symbolic_sizes_strides();
  return is_supported(tensor.scalar_type()) && strided ? &tensor : nullptr;
}

// Reads a finite number; returns whether there is one.
bool to_number(PyObject* object, double& value) {
  if (!PyFloat_Check(object) && !PyLong_Check(object)) {
    return false;
  }
  value = PyFloat_AsDouble(object);
  if (PyErr_Occurred()) { // an integer beyond double
    PyErr_Clear();
    return false;
  }
  return std::isfinite(value);
}

// Whether nothing records Python functions. Modes do, and torch.jit.trace, under which exporters
// may need another form of the op.
bool unobserved() {
  return !at::impl::torch_function_mode_enabled() && !at::tracer::impl::is_dispatch_enabled();
}

// Lets other threads run Python.
class WithoutGil {
 public:
  WithoutGil() = default;
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;
  ~WithoutGil() {
    PyEval_RestoreThread(state_);
  }

 private:
  PyThreadState* state_ = PyEval_SaveThread();
};

// The functions return None for arguments that originet_ext/rrelu.py must check; it raises the
// errors.

template <Tensor (*op)(const Tensor&, double)>
PyObject* of_one(PyObject*, PyObject* const* args, Py_ssize_t count) {
  HANDLE_TH_ERRORS
  double alpha;
  const Tensor* x = count == 2 && unobserved() ? plain(args[0]) : nullptr;
  if (x == nullptr || !to_number(args[1], alpha)) {
    Py_RETURN_NONE;
  }
  Tensor y;
  {
    const WithoutGil released;
    y = op(*x, alpha);
  }
  return THPVariable_Wrap(std::move(y));
  END_HANDLE_TH_ERRORS
}

PyObject* of_two(PyObject*, PyObject* const* args, Py_ssize_t count) {
  HANDLE_TH_ERRORS
  double alpha;
  const Tensor* a = count == 3 && unobserved() ? plain(args[0]) : nullptr;
  const Tensor* b = a == nullptr ? nullptr : plain(args[1]);
  if (b == nullptr || !to_number(args[2], alpha) || a->scalar_type() != b->scalar_type() ||
      a->device() != b->device() || !a->sizes().equals(b->sizes())) {
    Py_RETURN_NONE;
  }
  Tensor y;
  {
    const WithoutGil released;
    y = call_rrelu_add_forward(*a, *b, alpha);
  }
  return THPVariable_Wrap(std::move(y));
  END_HANDLE_TH_ERRORS
}

// Takes the address of the CPU kernel in the other library.
PyObject* use_cpu_kernel(PyObject*, PyObject* address) {
  cpu_backend = reinterpret_cast<RReluBackend*>(PyLong_AsVoidPtr(address));
  return PyErr_Occurred() ? nullptr : Py_NewRef(Py_None);
}

template <typename Function>
PyMethodDef method(const char* name, Function* function, int flags = METH_FASTCALL) {
  return {name, reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(function)), flags, nullptr};
}

PyMethodDef methods[] = {
    method("rrelu", &of_one<call_rrelu_forward>),
    method("rrelu_", &of_one<call_rrelu_forward_in_place>),
    method("rrelu_add", &of_two),
    method("use_cpu_kernel", &use_cpu_kernel, METH_O),
    {nullptr, nullptr, 0, nullptr}};

PyModuleDef definition = {PyModuleDef_HEAD_INIT,
                          "_autograd_cpp",
                          nullptr,
                          -1,
                          methods,
                          nullptr,
                          nullptr,
                          nullptr,
                          nullptr};

} // namespace
} // namespace originet::autograd

PyMODINIT_FUNC PyInit__autograd_cpp() {
  return PyModule_Create(&originet::autograd::definition);
}
