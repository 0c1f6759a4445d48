// What the hand-written autograd kernels share. They do what torch's generated code does for its
// own ops, with torch's C++ classes. Those differ between versions, so this library works only with
// the torch that it was built with (docs/design.md, "Derivatives"). originet_ext/_derivatives.py
// has the same formulas in Python, for all other versions.
#pragma once

#include <mutex>
#include <optional>
#include <tuple>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/VariableTypeUtils.h>
#include <torch/csrc/dynamo/compiled_autograd.h>
#include <torch/library.h>

namespace originet::autograd {

using at::Tensor;
using c10::DispatchKeySet;
using torch::autograd::collect_next_edges;
using torch::autograd::compute_requires_grad;
using torch::autograd::isFwGradDefined;
using torch::autograd::isFwGradDefinedTensorList;
using torch::autograd::SavedVariable;
using torch::autograd::set_history;
using torch::autograd::variable_list;

// shared_ptr<Node> up to torch 2.12, intrusive_ptr<Node> since.
using NodePtr = decltype(torch::autograd::Edge::function);

template <typename Node>
void take_over(std::shared_ptr<torch::autograd::Node>& pointer, Node* node) {
  pointer = {node, [](Node* last) { deleteNode(last); }};
}
template <typename Pointer, typename Node>
void take_over(Pointer& pointer, Node* node) {
  pointer = Pointer::unsafe_steal_from_new(node);
}

template <typename Node, typename... Inputs>
std::pair<NodePtr, Node*> make_node(const Inputs&... inputs) {
  auto* node = new Node();
  NodePtr pointer;
  take_over(pointer, node);
  node->set_next_edges(collect_next_edges(inputs...));
  return {std::move(pointer), node};
}

// A node of the graph. `Derived` has
//   gradients(grads): the gradients of its inputs, given those of its outputs. Both may be
//     undefined where nothing flows. Differentiable, because it calls ops;
//   visit(f): calls f(member) for everything that was saved.
template <typename Derived>
class SavingNode : public torch::autograd::Node {
 public:
  variable_list apply(variable_list&& grads) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return self().gradients(grads);
  }

  void release_variables() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    self().visit([](auto& saved) { release(saved); });
  }

  std::string name() const override {
    return Derived::kName;
  }

  // For compiled autograd: passes the saved values to the graph as inputs, and runs with stand-ins
  // for them.
  void compiled_args(torch::dynamo::autograd::CompiledNodeArgs& args) const override {
    const_cast<SavingNode*>(this)->self().visit([&](auto& saved) { collect(args, saved); });
  }

  variable_list apply_with_saved(
      const variable_list& grads, torch::dynamo::autograd::SwapSavedVariables& stand_ins) override {
    self().visit([&](auto& saved) { stand_ins.before(saved); });
    variable_list results = self().gradients(grads);
    self().visit([&](auto& saved) { stand_ins.after(saved); });
    return results;
  }

 protected:
  // Whether the engine wants the gradient of an input.
  bool wants(size_t input) const {
    return task_should_compute_output(input);
  }
  bool wants_any(size_t inputs) const { // of the first `inputs`
    for (size_t k = 0; k < inputs; ++k) {
      if (wants(k)) {
        return true;
      }
    }
    return false;
  }

 private:
  Derived& self() {
    return static_cast<Derived&>(*this);
  }

  static void release(SavedVariable& saved) {
    saved.reset_data();
  }
  static void release(std::vector<SavedVariable>& saved) {
    saved.clear();
  }
  template <typename T>
  static void release(T&) {}

  using Args = torch::dynamo::autograd::CompiledNodeArgs;
  static void collect(Args& args, const SavedVariable& saved) {
    args.collect(saved, false);
  }
  static void collect(Args& args, const std::vector<SavedVariable>& saved) {
    args.collect(saved, false);
  }
  static void collect(Args& args, const c10::SymInt& saved) {
    args.collect(saved);
  }
  template <typename T>
  static void collect(Args& args, T saved) {
    args.collect(saved);
  }
};

// Looks up an op of this package.
template <typename Signature>
c10::TypedOperatorHandle<Signature> find_op(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

// Calls the kernel below autograd.
template <typename Op, typename... Args>
decltype(auto) call_below(const Op& op, DispatchKeySet keys, Args&&... args) {
  const at::AutoDispatchBelowADInplaceOrView guard;
  return op.redispatch(keys & c10::after_autograd_keyset, std::forward<Args>(args)...);
}

// The two parts of a dual number. Without a tangent, tangent() is undefined.
inline Tensor primal(const Tensor& x) {
  return x._fw_primal(0);
}
inline Tensor tangent(const Tensor& x) {
  return x._fw_grad(0);
}

inline void set_tangent(const Tensor& y, const Tensor& value) {
  if (value.defined()) {
    y._set_fw_grad(value, 0, /*is_inplace_op=*/false);
  }
}

// a + b, where either may be undefined.
inline Tensor sum(const Tensor& a, const Tensor& b) {
  return !a.defined() ? b : b.defined() ? a + b : a;
}

} // namespace originet::autograd
