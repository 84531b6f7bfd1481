// A GPU that computes nothing: what its parts share.
#ifndef NULL_GPU
#define NULL_GPU
#include <stddef.h>

#define SHOWN __attribute__((visibility("default")))

// What PyTorch asks of the GPU. gpu.py reads these by their place, in this order.
typedef struct {
  long launches, blas, dnn;                    // kernels of PyTorch, calls of cuBLAS and cuDNN that compute
  long to_device, to_host, within, bytes_sent; // copies, by direction
  long pageable;                               // copies for which the host waits, as their memory is not pinned
  long waits;                                  // other times that the host waits: for a stream, an event, the device
  long collectives;                            // calls of NCCL, and those in graphs that are launched
  long graphs, nodes;                          // launches of captured graphs; nodes captured
  long refusals;                               // what a capturing stream refused
  long alive;                                  // graphs that are not destroyed: NCCL's end would wait for them
} Counts;

extern Counts null_counts;

// Counts one operation on a stream; it becomes a node where that stream is being captured.
void null_operation(long *count);
#define COUNT(name) __atomic_add_fetch(&null_counts.name, 1, __ATOMIC_RELAXED)
#endif
