// The short road from Python to a psi kernel. A call through torch's dispatcher
// takes longer than a small tensor's kernel; this one reads the tensors through
// DLPack's C exchange API, which torch 2.10 and later offer and which is as stable
// as the ABI, and runs the kernel. It takes ordinary tensors in ordinary eager mode
// and declines all else, so that whatever the dispatcher is needed for (autograd,
// functorch, modes, tracing, profiling, subclasses, layouts to be copied) goes
// through the dispatcher.
#include "direct_call.h"

#include <cmath>
#include <exception>
#include <initializer_list>

// DLPack's header is plain C, but torch's copy of it lies in ATen's folder and
// refuses all users of the stable ABI.
#undef TORCH_TARGET_VERSION
#include <ATen/dlpack.h>

#include "build_config.h"
#include "rrelu_backend.h"

namespace originet {
namespace {

using torch::headeronly::ScalarType;

constexpr int kMaxInputs = 3;
constexpr int kMaxOutputs = 2;
// Elements from which a kernel takes long enough to let other threads run.
constexpr int64_t kReleaseGil = 16384;

struct Signature {
  int inputs, outputs;
};
constexpr Signature kSignatures[] = {{1, 1}, {2, 1}, {2, 1}, {3, 2}}; // by RReluOp

// What is asked of torch at every call, looked up once.
struct Torch {
  PyObject* tensor_type;
  PyObject* parameter_type;
  PyObject* empty_like;
  PyObject* is_grad_enabled;
  PyObject* forward_ad; // module
  // Functions that give something false, or None, when the dispatcher may be passed by.
  PyObject* obstacles[5];
  PyObject* name_requires_grad;
  PyObject* name_is_neg;
  PyObject* name_current_level;
  const DLPackExchangeAPI* exchange;
};
Torch torch_api;
const char* unavailable = "not initialised";

// Owns a reference.
class Object {
 public:
  explicit Object(PyObject* object = nullptr) : object_(object) {}
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  ~Object() {
    Py_XDECREF(object_);
  }
  PyObject* get() const {
    return object_;
  }
  PyObject* release() {
    PyObject* object = object_;
    object_ = nullptr;
    return object;
  }
  void reset(PyObject* object) {
    Py_XDECREF(object_);
    object_ = object;
  }

 private:
  PyObject* object_;
};

// 1, 0, or -1 with a Python error set.
int is_true(const Object& object) {
  return object.get() == nullptr ? -1 : PyObject_IsTrue(object.get());
}

// Whether this thread is in plain eager mode. -1 with a Python error set.
int is_plain_eager() {
  for (PyObject* obstacle : torch_api.obstacles) {
    const int met = is_true(Object(PyObject_CallNoArgs(obstacle)));
    if (met != 0) {
      return met < 0 ? -1 : 0;
    }
  }
  const Object level(PyObject_GetAttr(torch_api.forward_ad, torch_api.name_current_level));
  if (level.get() == nullptr) {
    return -1;
  }
  return PyLong_AsLong(level.get()) < 0 ? 1 : 0;
}

// Whether the tensor is of torch's own type, needs no gradient now and has memory
// that a kernel can read as it is; `view` is filled then. -1 with an error set.
int is_plain(PyObject* tensor, DLTensor* view) {
  PyObject* type = reinterpret_cast<PyObject*>(Py_TYPE(tensor));
  if (type != torch_api.tensor_type && type != torch_api.parameter_type) {
    return 0;
  }
  const int requires_grad = is_true(Object(PyObject_GetAttr(tensor, torch_api.name_requires_grad)));
  if (requires_grad < 0) {
    return -1;
  }
  if (requires_grad) {
    const int grad_enabled = is_true(Object(PyObject_CallNoArgs(torch_api.is_grad_enabled)));
    if (grad_enabled != 0) {
      return grad_enabled < 0 ? -1 : 0;
    }
  }
  // A lazily negated view.
  const int negated = is_true(Object(PyObject_CallMethodNoArgs(tensor, torch_api.name_is_neg)));
  if (negated != 0) {
    return negated < 0 ? -1 : 0;
  }
  if (torch_api.exchange->dltensor_from_py_object_no_sync(tensor, view) != 0) {
    PyErr_Clear(); // no memory of its own: meta, sparse, ...
    return 0;
  }
  return 1;
}

bool scalar_type(DLDataType dtype, ScalarType* type) {
  if (dtype.lanes != 1) {
    return false;
  }
  if (dtype.code == kDLBfloat && dtype.bits == 16) {
    *type = ScalarType::BFloat16;
    return true;
  }
  if (dtype.code != kDLFloat) {
    return false;
  }
  switch (dtype.bits) {
    case 16:
      *type = ScalarType::Half;
      return true;
    case 32:
      *type = ScalarType::Float;
      return true;
    case 64:
      *type = ScalarType::Double;
      return true;
    default:
      return false;
  }
}

// Whether equal indices stand at equal offsets, in one dtype on one device.
bool same_layout(const DLTensor& a, const DLTensor& b) {
  if (a.ndim != b.ndim || a.dtype.code != b.dtype.code || a.dtype.bits != b.dtype.bits ||
      a.device.device_type != b.device.device_type || a.device.device_id != b.device.device_id) {
    return false;
  }
  for (int32_t d = 0; d < a.ndim; ++d) {
    if (a.shape[d] != b.shape[d] || (a.shape[d] != 1 && a.strides[d] != b.strides[d])) {
      return false;
    }
  }
  return true;
}

void* data(const DLTensor& tensor) {
  return static_cast<char*>(tensor.data) + tensor.byte_offset;
}

// Whether the tensor fills a stretch of memory, each element once, in some order of
// its dimensions.
bool is_dense(const DLTensor& tensor) {
  int64_t expected = 1;
  int32_t left = 0;
  for (int32_t d = 0; d < tensor.ndim; ++d) {
    left += tensor.shape[d] != 1;
    if (tensor.shape[d] == 0) {
      return true;
    }
  }
  while (left > 0) {
    int32_t d = 0;
    while (d < tensor.ndim && (tensor.shape[d] == 1 || tensor.strides[d] != expected)) {
      ++d;
    }
    if (d == tensor.ndim) {
      return false;
    }
    expected *= tensor.shape[d];
    --left;
  }
  return true;
}

struct Call {
  RReluBackend* run;
  Elements elements;
  DLTensor like; // the first input
};

// Describes the call of a kernel on some tensors, but for its results. 0 where it
// has to go through the dispatcher, -1 with a Python error set.
int prepare(PyObject* const* tensors, int count, double alpha, Call* call) {
  if (unavailable != nullptr || !std::isfinite(alpha)) {
    return 0;
  }
  DLTensor in[kMaxInputs];
  for (int k = 0; k < count; ++k) {
    const int plain = is_plain(tensors[k], &in[k]);
    if (plain != 1) {
      return plain;
    }
    if (k > 0 && !same_layout(in[k], in[0])) {
      return 0;
    }
  }
  const int plain_eager = is_plain_eager();
  if (plain_eager != 1) {
    return plain_eager;
  }
  call->like = in[0];
  call->elements = {{}, {}, 1, ScalarType::Float, in[0].device.device_id};
  if (in[0].device.device_type == kDLCPU) {
    call->run = run_rrelu_cpu;
#ifdef ORIGINET_WITH_CUDA
  } else if (in[0].device.device_type == kDLCUDA) {
    call->run = run_rrelu_cuda;
#endif
  } else {
    return 0;
  }
  if (!scalar_type(in[0].dtype, &call->elements.dtype)) {
    return 0;
  }
  for (int32_t d = 0; d < in[0].ndim; ++d) {
    call->elements.numel *= in[0].shape[d];
  }
  for (int k = 0; k < count; ++k) {
    call->elements.in[k] = data(in[k]);
    if (call->elements.in[k] == nullptr && call->elements.numel != 0) {
      return 0; // a tensor without storage
    }
  }
  return 1;
}

// False with a Python error set.
bool run(const Call& call, RReluOp op, double alpha) {
  try {
    if (call.elements.numel < kReleaseGil) {
      call.run(op, call.elements, alpha);
    } else {
      struct ReleaseGil {
        PyThreadState* state = PyEval_SaveThread();
        ~ReleaseGil() {
          PyEval_RestoreThread(state);
        }
      } const released;
      call.run(op, call.elements, alpha);
    }
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
    return false;
  }
  return true;
}

double as_finite_float(PyObject* alpha) {
  return PyFloat_CheckExact(alpha) ? PyFloat_AS_DOUBLE(alpha) : NAN;
}

constexpr char kDirectCallDoc[] =
    "direct_call(op, alpha, *tensors)\n\n"
    "The op's result, or None where it has to go through the dispatcher. Arguments that the op "
    "would refuse give None as well.";
PyObject* direct_call(PyObject*, PyObject* const* args, Py_ssize_t count) {
  const long op = count < 3 ? -1 : PyLong_AsLong(args[0]);
  if (op < 0 || op > static_cast<long>(RReluOp::kAddBackward) ||
      count != 2 + kSignatures[op].inputs) {
    PyErr_SetString(PyExc_TypeError, "direct_call(op, alpha, *tensors): no such op");
    return nullptr;
  }
  const auto [inputs, outputs] = kSignatures[op];
  const double alpha = as_finite_float(args[1]);
  Call call;
  const int prepared = prepare(args + 2, inputs, alpha, &call);
  if (prepared != 1) {
    return prepared < 0 ? nullptr : Py_NewRef(Py_None);
  }
  Object result[kMaxOutputs];
  for (int k = 0; k < outputs; ++k) {
    DLTensor out;
    result[k].reset(PyObject_CallOneArg(torch_api.empty_like, args[2]));
    if (result[k].get() == nullptr ||
        torch_api.exchange->dltensor_from_py_object_no_sync(result[k].get(), &out) != 0) {
      return nullptr;
    }
    if (!same_layout(out, call.like)) {
      Py_RETURN_NONE; // the input is not dense
    }
    call.elements.out[k] = data(out);
  }
  if (!run(call, static_cast<RReluOp>(op), alpha)) {
    return nullptr;
  }
  return outputs == 1 ? result[0].release() : PyTuple_Pack(2, result[0].get(), result[1].get());
}

constexpr char kDirectCallInPlaceDoc[] =
    "direct_call_(alpha, x)\n\n"
    "psi in place: whether it was done. The version counter of x stays as it is.";
PyObject* direct_call_in_place(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (count != 2) {
    PyErr_SetString(PyExc_TypeError, "direct_call_(alpha, x): takes two arguments");
    return nullptr;
  }
  const double alpha = as_finite_float(args[0]);
  Call call;
  const int prepared = prepare(args + 1, 1, alpha, &call);
  if (prepared < 0) {
    return nullptr;
  }
  if (prepared == 0 || !is_dense(call.like)) {
    Py_RETURN_FALSE;
  }
  call.elements.out[0] = data(call.like);
  return run(call, RReluOp::kForward, alpha) ? Py_NewRef(Py_True) : nullptr;
}

PyObject* lookup(PyObject* module, std::initializer_list<const char*> path) {
  if (PyErr_Occurred() != nullptr) {
    return nullptr; // an earlier one failed
  }
  Object found(Py_NewRef(module));
  for (const char* name : path) {
    found.reset(PyObject_GetAttrString(found.get(), name));
    if (found.get() == nullptr) {
      return nullptr;
    }
  }
  return found.release();
}

const char* look_up_torch() {
  const Object torch(PyImport_ImportModule("torch"));
  if (torch.get() == nullptr) {
    return "torch cannot be imported";
  }
  torch_api.tensor_type = lookup(torch.get(), {"Tensor"});
  torch_api.parameter_type = lookup(torch.get(), {"nn", "Parameter"});
  torch_api.empty_like = lookup(torch.get(), {"empty_like"});
  torch_api.is_grad_enabled = lookup(torch.get(), {"_C", "is_grad_enabled"});
  torch_api.forward_ad = lookup(torch.get(), {"autograd", "forward_ad"});
  torch_api.obstacles[0] = lookup(torch.get(), {"_C", "_are_functorch_transforms_active"});
  torch_api.obstacles[1] = lookup(torch.get(), {"_C", "_len_torch_dispatch_stack"});
  torch_api.obstacles[2] = lookup(torch.get(), {"_C", "_len_torch_function_stack"});
  torch_api.obstacles[3] = lookup(torch.get(), {"_C", "_get_tracing_state"});
  torch_api.obstacles[4] = lookup(torch.get(), {"_C", "_autograd", "_profiler_enabled"});
  torch_api.name_requires_grad = PyUnicode_InternFromString("requires_grad");
  torch_api.name_is_neg = PyUnicode_InternFromString("is_neg");
  torch_api.name_current_level = PyUnicode_InternFromString("_current_level");
  const Object capsule(lookup(torch.get(), {"Tensor", "__dlpack_c_exchange_api__"}));
  if (PyErr_Occurred() != nullptr) {
    return "torch lacks a function that tells of its modes, or DLPack's C exchange API";
  }
  torch_api.exchange = static_cast<const DLPackExchangeAPI*>(
      PyCapsule_GetPointer(capsule.get(), "dlpack_exchange_api"));
  if (torch_api.exchange == nullptr ||
      torch_api.exchange->header.version.major != DLPACK_MAJOR_VERSION) {
    return "torch's DLPack C exchange API is of another major version";
  }
  return nullptr;
}

template <typename Function>
PyCFunction as_method(Function function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

PyMethodDef methods[] = {
    {"direct_call", as_method(direct_call), METH_FASTCALL, kDirectCallDoc},
    {"direct_call_", as_method(direct_call_in_place), METH_FASTCALL, kDirectCallInPlaceDoc},
    {nullptr, nullptr, 0, nullptr}};

} // namespace

const char* add_direct_calls(PyObject* module) {
  unavailable = look_up_torch();
  PyErr_Clear();
  if (PyModule_AddFunctions(module, methods) != 0) {
    return "out of memory";
  }
  return unavailable == nullptr ? "" : unavailable;
}

} // namespace originet
