// The CUDA runtime of a GPU that computes nothing, in front of the real one through LD_PRELOAD.
//
// PyTorch above it is the real one: allocator, autograd's thread, streams, plans, graphs. Kernels are counted and not
// run; copies are made; a stream that is being captured refuses what a real one refuses. So it shows on which device
// tensors are, where the host waits, what is launched and captured, how memory grows and what errors say. It shows
// nothing of values.
//
//   NULL_GPUS          number of GPUs (1); CUDA_VISIBLE_DEVICES limits them as usual
//   NULL_GPU_GB        memory of each (141)
//   NULL_GPU_CC        compute capability (90); below 75 there is no kernel for it, as in wheels for CUDA 13
//   NULL_GPU_DRIVER    "old": the driver is older than the runtime
//   NULL_GPU_LOG       file to which each process adds a line when it first takes memory of a GPU: the GPU's number,
//                      whatever CUDA_VISIBLE_DEVICES makes of it, and the name of the process
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cuda_runtime_api.h>

#include "null.h"

#define CUDA SHOWN cudaError_t

Counts null_counts;
SHOWN Counts *null_gpu_counts(void) { return &null_counts; }

static int gpus, capability, old_driver;
static size_t memory;
static const size_t CONTEXT = 600ull << 20; // bytes that CUDA itself takes of a GPU
static __thread int current;
static __thread cudaError_t last;

static long setting(const char *name, long otherwise) {
  const char *text = getenv(name);
  return text ? atol(text) : otherwise;
}

__attribute__((constructor)) static void begin(void) {
  gpus = setting("NULL_GPUS", 1), capability = setting("NULL_GPU_CC", 90), memory = (size_t)setting("NULL_GPU_GB",
    141) << 30;
  const char *driver = getenv("NULL_GPU_DRIVER"), *visible = getenv("CUDA_VISIBLE_DEVICES");
  old_driver = driver && !strcmp(driver, "old");
  if (visible) {
    int named = *visible != 0;
    for (const char *letter = visible; *letter; letter++) named += *letter == ',';
    if (named < gpus) gpus = named;
  }
}

static cudaError_t failed(cudaError_t error) { return last = error; }

// Devices
CUDA cudaGetDeviceCount(int *count) {
  *count = old_driver ? 0 : gpus;
  return old_driver ? failed(cudaErrorInsufficientDriver) : gpus ? cudaSuccess : failed(cudaErrorNoDevice);
}
CUDA cudaDriverGetVersion(int *version) { return *version = old_driver ? 12000 : 13000, cudaSuccess; }
CUDA cudaGetDevice(int *device) { return *device = current, cudaSuccess; }
CUDA cudaSetDevice(int device) {
  if (device < 0 || device >= gpus) return failed(cudaErrorInvalidDevice);
  return current = device, cudaSuccess;
}
CUDA cudaGetDeviceProperties(struct cudaDeviceProp *of, int device) {
  memset(of, 0, sizeof *of);
  snprintf(of->name, sizeof of->name, "null GPU sm_%d", capability);
  of->major = capability / 10, of->minor = capability % 10, of->pciBusID = device + 1;
  of->totalGlobalMem = memory, of->multiProcessorCount = 132, of->l2CacheSize = 50 << 20, of->memoryBusWidth = 6144;
  of->warpSize = 32, of->maxThreadsPerBlock = 1024, of->maxThreadsPerMultiProcessor = 2048;
  of->maxThreadsDim[0] = of->maxThreadsDim[1] = 1024, of->maxThreadsDim[2] = 64;
  of->maxGridSize[0] = 2147483647, of->maxGridSize[1] = of->maxGridSize[2] = 65535;
  of->regsPerBlock = of->regsPerMultiprocessor = 65536, of->totalConstMem = 65536, of->textureAlignment = 512;
  of->sharedMemPerBlock = 48 << 10, of->sharedMemPerBlockOptin = 227 << 10,
    of->sharedMemPerMultiprocessor = 228 << 10;
  of->unifiedAddressing = of->concurrentKernels = of->managedMemory = of->cooperativeLaunch = of->canMapHostMemory = 1;
  return cudaSuccess;
}
CUDA cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr name, int device) {
  switch (name) {
    case cudaDevAttrComputeCapabilityMajor: *value = capability / 10; break;
    case cudaDevAttrComputeCapabilityMinor: *value = capability % 10; break;
    case cudaDevAttrMaxGridDimX: *value = 2147483647; break;
    case cudaDevAttrMaxRegistersPerBlock: *value = 65536; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = 48 << 10; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = 227 << 10; break;
    case cudaDevAttrMaxThreadsPerBlock: *value = 1024; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = 2048; break;
    case cudaDevAttrMultiProcessorCount: *value = 132; break;
    case cudaDevAttrWarpSize: *value = 32; break;
    default: *value = 0;
  }
  return cudaSuccess;
}
CUDA cudaDeviceGetPCIBusId(char *text, int size, int device) {
  snprintf(text, size, "0000:%02x:00.0", device + 1);
  return cudaSuccess;
}
CUDA cudaDeviceCanAccessPeer(int *can, int one, int other) { return *can = 1, cudaSuccess; }
CUDA cudaDeviceGetStreamPriorityRange(int *least, int *greatest) {
  if (least) *least = 0;
  if (greatest) *greatest = -5;
  return cudaSuccess;
}
CUDA cudaGetLastError(void) {
  cudaError_t error = last;
  return last = cudaSuccess, error;
}
CUDA cudaPeekAtLastError(void) { return last; }

// Memory: pieces of the host's, which remembers whose they are
enum { DEVICE = 1, PINNED };
typedef struct {
  char *start;
  size_t size;
  int kind, device;
} Piece;
static Piece pieces[1 << 16];
static int count;
static size_t used[64];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static Piece *piece_of(const void *place) {
  for (int i = 0; i < count; i++)
    if ((char *)place >= pieces[i].start && (char *)place < pieces[i].start + pieces[i].size) return &pieces[i];
  return NULL;
}
static int kind_of(const void *place) {
  Piece *piece = piece_of(place);
  return piece ? piece->kind : 0;
}
static void remember(void *start, size_t size, int kind) {
  pthread_mutex_lock(&lock);
  int free = 0;
  while (free < count && pieces[free].size) free++;
  pieces[free] = (Piece){start, size, kind, current};
  if (free == count) count++;
  pthread_mutex_unlock(&lock);
}
static Piece forget(void *start) {
  pthread_mutex_lock(&lock);
  Piece *piece = piece_of(start), known = piece ? *piece : (Piece){0};
  if (piece) *piece = (Piece){0};
  pthread_mutex_unlock(&lock);
  return known;
}

static int number_of(int device) {
  const char *visible = getenv("CUDA_VISIBLE_DEVICES");
  for (; visible && device; device--) visible = strchr(visible, ',') ? strchr(visible, ',') + 1 : NULL;
  return visible && *visible ? atoi(visible) : device;
}
static void note(int device) {
  const char *log = getenv("NULL_GPU_LOG");
  if (!log || used[device]) return;
  char name[256] = "", line[300];
  int named = open("/proc/self/cmdline", O_RDONLY), out = open(log, O_WRONLY | O_APPEND | O_CREAT, 0600);
  if (read(named, name, sizeof name - 1) < 0) *name = 0;
  if (write(out, line, snprintf(line, sizeof line, "%d %d %s\n", number_of(device), getpid(), name)) < 0) abort();
  close(named), close(out);
}
CUDA cudaMalloc(void **place, size_t size) {
  if (used[current] + size > memory - CONTEXT) return failed(cudaErrorMemoryAllocation);
  *place = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (*place == MAP_FAILED) return failed(cudaErrorMemoryAllocation);
  note(current), used[current] += size;
  return remember(*place, size, DEVICE), cudaSuccess;
}
CUDA cudaFree(void *place) {
  if (!place) return cudaSuccess;
  Piece piece = forget(place);
  if (piece.size) used[piece.device] -= piece.size, munmap(piece.start, piece.size);
  return cudaSuccess;
}
CUDA cudaHostAlloc(void **place, size_t size, unsigned flags) {
  if (posix_memalign(place, 4096, size ? size : 1)) return failed(cudaErrorMemoryAllocation);
  return remember(*place, size, PINNED), cudaSuccess;
}
CUDA cudaFreeHost(void *place) { return forget(place), free(place), cudaSuccess; }
CUDA cudaHostRegister(void *place, size_t size, unsigned flags) { return remember(place, size, PINNED), cudaSuccess; }
CUDA cudaHostUnregister(void *place) { return forget(place), cudaSuccess; }
CUDA cudaMemGetInfo(size_t *free, size_t *total) {
  return *total = memory, *free = memory - CONTEXT - used[current], cudaSuccess;
}
SHOWN long null_gpu_used(int device) { return used[device]; }
CUDA cudaPointerGetAttributes(struct cudaPointerAttributes *of, const void *place) {
  Piece *piece = piece_of(place);
  memset(of, 0, sizeof *of);
  of->type = !piece ? cudaMemoryTypeUnregistered : piece->kind == DEVICE ? cudaMemoryTypeDevice : cudaMemoryTypeHost;
  of->device = piece ? piece->device : 0, of->devicePointer = (void *)place;
  of->hostPointer = piece && piece->kind == PINNED ? (void *)place : NULL;
  return cudaSuccess;
}

// Streams and captures: one at a time
static cudaStream_t captured;
static int capturing;
static long nodes, sums; // operations of the captured graph; collectives before it

void null_operation(long *each) {
  __atomic_add_fetch(each, 1, __ATOMIC_RELAXED);
  if (capturing) nodes++;
}
static cudaError_t refused(void) { return COUNT(refusals), failed(cudaErrorStreamCaptureUnsupported); }

static cudaError_t copied(void *to, const void *from, size_t size) {
  int there = kind_of(to), here = kind_of(from);
  if (there == DEVICE && here == DEVICE) COUNT(within);
  else if (there == DEVICE) COUNT(to_device), __atomic_add_fetch(&null_counts.bytes_sent, size, __ATOMIC_RELAXED);
  else COUNT(to_host);
  int pageable = !there || !here;
  if (pageable) COUNT(pageable);
  if (capturing) nodes++;
  if (capturing && pageable) return refused();
  memmove(to, from, size);
  return cudaSuccess;
}
CUDA cudaMemcpy(void *to, const void *from, size_t size, enum cudaMemcpyKind kind) {
  return COUNT(waits), copied(to, from, size);
}
CUDA cudaMemcpyAsync(void *to, const void *from, size_t size, enum cudaMemcpyKind kind, cudaStream_t stream) {
  return copied(to, from, size);
}
CUDA cudaMemcpyPeerAsync(void *to, int there, const void *from, int here, size_t size, cudaStream_t stream) {
  return copied(to, from, size);
}
CUDA cudaMemsetAsync(void *place, int value, size_t size, cudaStream_t stream) {
  return null_operation(&null_counts.launches), cudaSuccess;
}
static char symbol[1 << 16];
CUDA cudaGetSymbolAddress(void **place, const void *name) { return *place = symbol, cudaSuccess; }

static cudaError_t stream(cudaStream_t *made) {
  static long number;
  return *made = (cudaStream_t)(0x1000 + 16 * __atomic_add_fetch(&number, 1, __ATOMIC_RELAXED)), cudaSuccess;
}
CUDA cudaStreamCreate(cudaStream_t *made) { return stream(made); }
CUDA cudaStreamCreateWithFlags(cudaStream_t *made, unsigned flags) { return stream(made); }
CUDA cudaStreamCreateWithPriority(cudaStream_t *made, unsigned flags, int priority) { return stream(made); }
CUDA cudaStreamGetPriority(cudaStream_t each, int *priority) { return *priority = 0, cudaSuccess; }
CUDA cudaStreamSynchronize(cudaStream_t each) { return capturing ? refused() : (COUNT(waits), cudaSuccess); }
CUDA cudaDeviceSynchronize(void) { return COUNT(waits), cudaSuccess; }
CUDA cudaStreamAddCallback(cudaStream_t each, cudaStreamCallback_t call, void *data, unsigned flags) {
  return call(each, cudaSuccess, data), cudaSuccess;
}
CUDA cudaLaunchHostFunc(cudaStream_t each, cudaHostFn_t call, void *data) { return call(data), cudaSuccess; }

CUDA cudaEventCreate(cudaEvent_t *made) { return *made = malloc(8), cudaSuccess; }
CUDA cudaEventCreateWithFlags(cudaEvent_t *made, unsigned flags) { return *made = malloc(8), cudaSuccess; }
CUDA cudaEventDestroy(cudaEvent_t each) { return free(each), cudaSuccess; }
CUDA cudaEventSynchronize(cudaEvent_t each) { return COUNT(waits), cudaSuccess; }
CUDA cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to) { return *ms = 1, cudaSuccess; }

static enum cudaStreamCaptureStatus status(cudaStream_t each) {
  return capturing && each == captured ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
}
CUDA cudaStreamBeginCapture(cudaStream_t each, enum cudaStreamCaptureMode mode) {
  return captured = each, capturing = 1, nodes = 0, sums = null_counts.collectives, cudaSuccess;
}
CUDA cudaStreamEndCapture(cudaStream_t each, cudaGraph_t *graph) {
  long *made = malloc(sizeof *made); // a graph is the number of its collectives
  capturing = 0, *made = null_counts.collectives - sums, null_counts.collectives = sums;
  __atomic_add_fetch(&null_counts.nodes, nodes, __ATOMIC_RELAXED);
  return *graph = (cudaGraph_t)made, cudaSuccess;
}
CUDA cudaStreamIsCapturing(cudaStream_t each, enum cudaStreamCaptureStatus *found) {
  return *found = status(each), cudaSuccess;
}
CUDA cudaStreamGetCaptureInfo(cudaStream_t each, enum cudaStreamCaptureStatus *found, unsigned long long *id,
    cudaGraph_t *graph, const cudaGraphNode_t **before, const cudaGraphEdgeData **edges, size_t *size) {
  *found = status(each);
  if (id) *id = 1;
  if (graph) *graph = (cudaGraph_t)&nodes;
  if (size) *size = 0;
  return cudaSuccess;
}
CUDA cudaThreadExchangeStreamCaptureMode(enum cudaStreamCaptureMode *mode) {
  return *mode = cudaStreamCaptureModeRelaxed, cudaSuccess;
}
CUDA cudaGraphInstantiateWithFlags(cudaGraphExec_t *made, cudaGraph_t graph, unsigned long long flags) {
  return *made = (cudaGraphExec_t)graph, COUNT(alive), cudaSuccess;
}
CUDA cudaGraphExecDestroy(cudaGraphExec_t graph) {
  return __atomic_sub_fetch(&null_counts.alive, 1, __ATOMIC_RELAXED), cudaSuccess;
}
CUDA cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  __atomic_add_fetch(&null_counts.collectives, *(long *)graph, __ATOMIC_RELAXED);
  return COUNT(graphs), cudaSuccess;
}
CUDA cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *found, size_t *size) { return *size = 1, cudaSuccess; }
CUDA cudaUserObjectCreate(cudaUserObject_t *made, void *data, cudaHostFn_t end, unsigned count, unsigned flags) {
  return *made = NULL, cudaSuccess;
}

// Kernels
static cudaError_t launched(dim3 grid, dim3 block) {
  if (capability < 75) return failed(cudaErrorNoKernelImageForDevice);
  if (!grid.x || !grid.y || !grid.z || !block.x) return failed(cudaErrorInvalidConfiguration);
  return null_operation(&null_counts.launches), cudaSuccess;
}
CUDA cudaLaunchKernel(const void *kernel, dim3 grid, dim3 block, void **given, size_t shared, cudaStream_t stream) {
  return launched(grid, block);
}
CUDA __cudaLaunchKernel(void *kernel, dim3 grid, dim3 block, void **given, size_t shared, cudaStream_t stream) {
  return launched(grid, block);
}
CUDA cudaLaunchKernelExC(const cudaLaunchConfig_t *config, const void *kernel, void **given) {
  return launched(config->gridDim, config->blockDim);
}
CUDA __cudaGetKernel(void **found, const void *kernel) { return *found = (void *)kernel, cudaSuccess; }
CUDA cudaFuncGetAttributes(struct cudaFuncAttributes *of, const void *kernel) {
  memset(of, 0, sizeof *of);
  of->maxThreadsPerBlock = 1024, of->numRegs = 32, of->binaryVersion = capability, of->ptxVersion = 90;
  of->maxDynamicSharedSizeBytes = 227 << 10;
  return cudaSuccess;
}
CUDA cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, const void *kernel, int threads,
    size_t shared, unsigned flags) {
  return *blocks = 2, cudaSuccess;
}

static int nothing() { return 0; }
static int active(int device, unsigned *flags, int *is) {
  if (flags) *flags = 0;
  if (is) *is = used[device] > 0; // a GPU on which nothing lies has no context
  return 0;
}
CUDA cudaGetDriverEntryPointByVersion(const char *name, void **found, unsigned version, unsigned long long flags,
    enum cudaDriverEntryPointQueryResult *how) {
  *found = !strcmp(name, "cuDevicePrimaryCtxGetState") ? (void *)active : (void *)nothing;
  if (how) *how = cudaDriverEntryPointSuccess;
  return cudaSuccess;
}
