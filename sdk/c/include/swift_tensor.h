// The contract's operations on tensors and views of a batch, as `wit/tensor.wit` and `wit/loss.wit` describe them:
// `tensor_exp(x)`, `tensor_sum(x, dims(0), false)`, `batch_labels(batch)`, `outputs_token_logps(policy)`.
#ifndef SWIFT_TENSOR_H
#define SWIFT_TENSOR_H

typedef swift_plugin_tensor_own_tensor_t tensor;
typedef swift_plugin_batch_view_borrow_batch_t batch;
typedef swift_plugin_batch_view_borrow_outputs_t outputs;
typedef WORLD(list_s32_t) dimensions;
typedef WORLD(list_u64_t) sizes;
typedef swift_plugin_tensor_dtype_t dtype;

// Takes an error of the host, whose text it frees later.
void take_error(swift_plugin_tensor_error_t error);
// Keeps a handle until the end of the call, and gives it.
tensor keep(tensor made);

// A list of dimensions: `dims(0, -1)`. All of them is `ALL`.
#define dims(...) ((dimensions){(int32_t[]){__VA_ARGS__}, sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t)})
#define ALL ((dimensions){0, 0})
// A shape: `shape(3, 4)`. That of a scalar is `SCALAR`.
#define shape(...) ((sizes){(uint64_t[]){__VA_ARGS__}, sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t)})
#define SCALAR ((sizes){0, 0})

#define BORROWED(value) swift_plugin_tensor_borrow_tensor(value)

// One operation: its C name and parameters, then the arguments for the bindings.
#define OPERATION(name, function, parameters, ...)                                                                     \
    static inline tensor name parameters {                                                                             \
        tensor made = {0};                                                                                             \
        swift_plugin_tensor_error_t error;                                                                             \
        if (has_failed()) return made;                                                                                 \
        if (function(__VA_ARGS__, &made, &error)) return keep(made);                                                   \
        take_error(error);                                                                                             \
        return made;                                                                                                   \
    }
#define METHOD(name, parameters, ...)                                                                                  \
    OPERATION(tensor_##name, swift_plugin_tensor_method_tensor_##name, parameters, __VA_ARGS__)
#define UNARY(name) METHOD(name, (tensor a), BORROWED(a))
#define BINARY(name) METHOD(name, (tensor a, tensor b), BORROWED(a), BORROWED(b))
#define NUMBER(name) METHOD(name, (tensor a, double number), BORROWED(a), number)
#define REDUCE_ALL(name) METHOD(name, (tensor a, dimensions over, bool keep_them), BORROWED(a), &over, keep_them)
#define REDUCE(name) METHOD(name, (tensor a, int32_t dim, bool keep_it), BORROWED(a), dim, keep_it)
#define ALONG(name) METHOD(name, (tensor a, int32_t dim), BORROWED(a), dim)
#define ORDER(name) METHOD(name, (tensor a, bool descending), BORROWED(a), descending)
#define PICK(name) METHOD(name, (tensor a, int32_t dim, tensor index), BORROWED(a), dim, BORROWED(index))
#define SEGMENT(name)                                                                                                  \
    METHOD(name, (tensor a, tensor segments, uint64_t count), BORROWED(a), BORROWED(segments), count)

BINARY(add) BINARY(sub) BINARY(mul) BINARY(div) BINARY(maximum) BINARY(minimum) BINARY(matmul)
BINARY(eq) BINARY(gt) BINARY(ge) BINARY(lt) BINARY(le)
NUMBER(scale) NUMBER(add_scalar) NUMBER(pow)
UNARY(neg) UNARY(abs) UNARY(exp) UNARY(log) UNARY(sqrt) UNARY(sin) UNARY(cos) UNARY(tanh) UNARY(sigmoid)
UNARY(log_sigmoid) UNARY(softplus) UNARY(relu) UNARY(gelu) UNARY(gelu_tanh) UNARY(silu) UNARY(detach)
REDUCE_ALL(sum) REDUCE_ALL(mean)
REDUCE(max) REDUCE(min) REDUCE(logsumexp) REDUCE(argmax)
ALONG(softmax) ALONG(log_softmax) ALONG(cumsum)
ORDER(sort) ORDER(argsort)
PICK(gather) PICK(index_select)
SEGMENT(segment_sum) SEGMENT(segment_mean)
METHOD(clamp, (tensor a, double low, double high), BORROWED(a), low, high)
METHOD(choose, (tensor mask, tensor on_true, tensor on_false), BORROWED(mask), BORROWED(on_true), BORROWED(on_false))
METHOD(narrow, (tensor a, int32_t dim, uint64_t start, uint64_t length), BORROWED(a), dim, start, length)
METHOD(reshape, (tensor a, WORLD(list_s64_t) to), BORROWED(a), &to)
METHOD(transpose, (tensor a, int32_t first, int32_t second), BORROWED(a), first, second)
METHOD(broadcast_to, (tensor a, sizes to), BORROWED(a), &to)
METHOD(cast, (tensor a, dtype to), BORROWED(a), to)
OPERATION(tensor_full, swift_plugin_tensor_full, (double value, sizes of, dtype type), value, &of, type)
OPERATION(tensor_uniform, swift_plugin_tensor_uniform, (double low, double high, sizes of, dtype type), low, high, &of, type)
OPERATION(tensor_normal, swift_plugin_tensor_normal, (double mean, double deviation, sizes of, dtype type), mean,
          deviation, &of, type)
OPERATION(tensor_arange, swift_plugin_tensor_arange, (uint64_t count), count)
OPERATION(tensor_from_list, swift_plugin_tensor_from_list, (WORLD(list_f64_t) values, sizes of, dtype type), &values,
          &of, type)

#define BATCH(name)                                                                                                    \
    static inline tensor batch_##name(batch from) { return keep(swift_plugin_batch_view_method_batch_##name(from)); }
#define COUNT(name)                                                                                                    \
    static inline uint64_t batch_##name(batch from) { return swift_plugin_batch_view_method_batch_##name(from); }
#define OUTPUTS(name)                                                                                                  \
    OPERATION(outputs_##name, swift_plugin_batch_view_method_outputs_##name, (outputs from), from)

// Joins `count` tensors along an existing dimension, and along a new one.
tensor tensor_cat(const tensor *tensors, size_t count, int32_t dim);
tensor tensor_stack(const tensor *tensors, size_t count, int32_t dim);
// The only element of a tensor that has one.
double tensor_item(tensor a);

// Sequences in the micro-batch, and the sum of a value per token over each: `[tokens]` to `[sequences]`.
uint64_t batch_sequence_count(batch from);
tensor batch_sum_by_sequence(batch from, tensor per_token);
// A column of the rows, or what the trainer knows of each token; false if there is none.
bool batch_field(batch from, const char *name, tensor *found);
bool batch_token_field(batch from, const char *name, tensor *found);
// What the teacher model computed, for losses that require one.
outputs batch_teacher(batch from);
// Number of logits at each position.
uint64_t outputs_vocab_size(outputs from);
static inline bool batch_training(batch from) { return swift_plugin_batch_view_method_batch_training(from); }

BATCH(labels) BATCH(label_mask) BATCH(loss_weights) BATCH(segment_ids)
COUNT(global_token_count) COUNT(global_sequence_count) COUNT(global_row_count) COUNT(global_batch_count) COUNT(step)
OUTPUTS(token_logps) OUTPUTS(predictions) OUTPUTS(entropies) OUTPUTS(mean_logits) OUTPUTS(logits) OUTPUTS(hidden)
OUTPUTS(last_hidden) OUTPUTS(scores) OUTPUTS(token_scores)

#endif
