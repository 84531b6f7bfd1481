// cuBLAS, cuDNN and NCCL of the null GPU, and the rest of its runtime: what computes is counted, all else succeeds.
#include <stdlib.h>
#include <string.h>

#include "null.h"

#define NOTHING(name) \
  SHOWN int name() { return 0; }
#define MADE(name) \
  SHOWN int name(void **made) { return *made = calloc(1, 256), 0; }
#define COMPUTES(name, kind) \
  SHOWN int name() { return null_operation(&null_counts.kind), 0; }

// CUDA's runtime: calls of which nothing has to be known
NOTHING(cudaDeviceEnablePeerAccess) NOTHING(cudaEventQuery) NOTHING(cudaEventRecord) NOTHING(cudaEventRecordWithFlags)
NOTHING(cudaFuncSetAttribute) NOTHING(cudaGraphDestroy) NOTHING(cudaGraphRetainUserObject)
NOTHING(cudaMemcpyToSymbol) NOTHING(cudaMemset) NOTHING(cudaProfilerStart) NOTHING(cudaProfilerStop)
NOTHING(cudaStreamDestroy) NOTHING(cudaStreamQuery) NOTHING(cudaStreamUpdateCaptureDependencies)
NOTHING(cudaStreamWaitEvent) NOTHING(cudaUserObjectRelease)

// cuBLAS: products of matrices
MADE(cublasCreate_v2) MADE(cublasLtMatmulDescCreate) MADE(cublasLtMatmulPreferenceCreate)
MADE(cublasLtMatrixLayoutCreate)
NOTHING(cublasDestroy_v2) NOTHING(cublasSetMathMode) NOTHING(cublasSetPointerMode_v2) NOTHING(cublasSetSmCountTarget)
NOTHING(cublasSetStream_v2) NOTHING(cublasSetWorkspace_v2) NOTHING(cublasLtMatmulAlgoCheck)
NOTHING(cublasLtMatmulAlgoConfigSetAttribute) NOTHING(cublasLtMatmulDescDestroy) NOTHING(cublasLtMatmulDescSetAttribute)
NOTHING(cublasLtMatmulPreferenceDestroy) NOTHING(cublasLtMatmulPreferenceSetAttribute)
NOTHING(cublasLtMatrixLayoutDestroy) NOTHING(cublasLtMatrixLayoutSetAttribute)
SHOWN int cublasGetMathMode(void *handle, int *mode) { return *mode = 0, 0; }
SHOWN int cublasGetPointerMode_v2(void *handle, int *mode) { return *mode = 0, 0; }
SHOWN int cublasLtMatmulAlgoGetHeuristic(void *handle, void *operation, void *a, void *b, void *c, void *d,
    void *preference, int asked, void *found, int *count) {
  memset(found, 0, 96);
  return *count = 1, 0;
}
COMPUTES(cublasDdot_v2, blas) COMPUTES(cublasDgemm_v2, blas) COMPUTES(cublasDgemmStridedBatched, blas)
COMPUTES(cublasDgemv_v2, blas) COMPUTES(cublasDotEx, blas) COMPUTES(cublasGemmEx, blas)
COMPUTES(cublasGemmStridedBatchedEx, blas) COMPUTES(cublasLtMatmul, blas) COMPUTES(cublasSdot_v2, blas)
COMPUTES(cublasSgemm_v2, blas) COMPUTES(cublasSgemmEx, blas) COMPUTES(cublasSgemmStridedBatched, blas)
COMPUTES(cublasSgemv_v2, blas)

// cuDNN's former interface: batch norm, pooling, and convolutions where the newer one is switched off
MADE(cudnnCreate) MADE(cudnnCreateActivationDescriptor) MADE(cudnnCreateConvolutionDescriptor)
MADE(cudnnCreateFilterDescriptor) MADE(cudnnCreatePoolingDescriptor) MADE(cudnnCreateTensorDescriptor)
NOTHING(cudnnDestroy) NOTHING(cudnnDestroyActivationDescriptor) NOTHING(cudnnDestroyConvolutionDescriptor)
NOTHING(cudnnDestroyFilterDescriptor) NOTHING(cudnnDestroyPoolingDescriptor) NOTHING(cudnnDestroyTensorDescriptor)
NOTHING(cudnnSetActivationDescriptor) NOTHING(cudnnSetConvolutionGroupCount) NOTHING(cudnnSetConvolutionMathType)
NOTHING(cudnnSetConvolutionNdDescriptor) NOTHING(cudnnSetFilterNdDescriptor) NOTHING(cudnnSetStream)
NOTHING(cudnnSetTensorNdDescriptor)
SHOWN int cudnnGetStream(void *handle, void **stream) { return *stream = 0, 0; }
SHOWN int cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(void *handle, int mode, int operation, void *a,
    void *b, void *c, void *d, void *e, size_t *size) {
  return *size = 0, 0;
}
SHOWN int cudnnGetBatchNormalizationBackwardExWorkspaceSize(void *handle, int mode, int operation, void *a, void *b,
    void *c, void *d, void *e, void *f, void *g, size_t *size) {
  return *size = 0, 0;
}
SHOWN int cudnnGetBatchNormalizationTrainingExReserveSpaceSize(void *handle, int mode, int operation, void *a,
    void *b, size_t *size) {
  return *size = 64, 0;
}
COMPUTES(cudnnBatchNormalizationBackwardEx, dnn) COMPUTES(cudnnBatchNormalizationForwardInference, dnn)
COMPUTES(cudnnBatchNormalizationForwardTrainingEx, dnn) COMPUTES(cudnnPoolingForward, dnn)

// cuDNN's graphs: convolutions. A plan is found at once, and says of itself nothing that is not 0
NOTHING(cudnnBackendFinalize) NOTHING(cudnnBackendInitialize) NOTHING(cudnnBackendSetAttribute)
SHOWN int cudnnBackendCreateDescriptor(int type, void **made) { return *made = calloc(1, 64), 0; }
SHOWN int cudnnBackendDestroyDescriptor(void *descriptor) { return free(descriptor), 0; }
SHOWN int cudnnBackendGetAttribute(void *descriptor, int name, int type, long long asked, long long *count,
    void *values) {
  enum { NUMERICAL_NOTE = 11, BEHAVIOUR_NOTE = 19, INT64 = 3, DOUBLE = 5, VOID = 6, DESCRIPTOR = 15, FRACTION = 26 };
  // lists that are empty: knobs of a heuristic and of an engine, intermediate tensors
  int empty = type == NUMERICAL_NOTE || type == BEHAVIOUR_NOTE;
  empty = empty || name == 302 || name == 405 || name == 1303 || name == 1305;
  if (count) *count = !empty;
  if (!values || empty || asked < 1 || type == DESCRIPTOR) return 0;
  memset(values, 0, type == INT64 || type == DOUBLE || type == VOID ? 8 : type == FRACTION ? 16 : 4);
  return 0;
}
COMPUTES(cudnnBackendExecute, dnn)

// NCCL: nobody is at the other end, so a sum is this worker's own
typedef struct {
  int size, rank;
} Communicator;
typedef struct {
  char bytes[128];
} Id;
static const int WIDTHS[] = {1, 1, 4, 4, 8, 8, 2, 4, 8, 2, 1, 1}; // bytes, by ncclDataType_t

static int communicator(void **made, int size, int rank) {
  Communicator *new = malloc(sizeof *new);
  *new = (Communicator){size, rank};
  return *made = new, 0;
}

static int passed_on(const void *sent, void *received, size_t count, int type) {
  if (sent != received) memmove(received, sent, count * WIDTHS[type]);
  return null_operation(&null_counts.collectives), 0;
}

NOTHING(ncclCommAbort) NOTHING(ncclCommDeregister) NOTHING(ncclCommDestroy) NOTHING(ncclCommFinalize)
NOTHING(ncclCommRevoke) NOTHING(ncclCommWindowDeregister) NOTHING(ncclGroupEnd) NOTHING(ncclGroupStart)
NOTHING(ncclRedOpDestroy)
COMPUTES(ncclBcast, collectives) COMPUTES(ncclRecv, collectives) COMPUTES(ncclReduceScatter, collectives)
COMPUTES(ncclSend, collectives)
SHOWN int ncclGetUniqueId(Id *id) { return memset(id, 0, sizeof *id), 0; }
SHOWN int ncclCommInitRank(void **made, int size, Id id, int rank) { return communicator(made, size, rank); }
SHOWN int ncclCommInitRankConfig(void **made, int size, Id id, int rank, void *config) {
  return communicator(made, size, rank);
}
SHOWN int ncclCommInitRankScalable(void **made, int size, int rank, int ids, Id *id, void *config) {
  return communicator(made, size, rank);
}
SHOWN int ncclCommSplit(Communicator *whole, int color, int key, void **made, void *config) {
  return communicator(made, whole->size, whole->rank);
}
SHOWN int ncclCommGetAsyncError(void *each, int *error) { return *error = 0, 0; }
SHOWN int ncclCommCount(Communicator *each, int *size) { return *size = each->size, 0; }
SHOWN int ncclCommUserRank(Communicator *each, int *rank) { return *rank = each->rank, 0; }
SHOWN int ncclCommCuDevice(Communicator *each, int *device) { return *device = each->rank, 0; }
SHOWN int ncclCommRegister(void *each, void *buffer, size_t size, void **handle) { return *handle = buffer, 0; }
SHOWN int ncclCommMemStats(void *each, int which, unsigned long *value) { return *value = 0, 0; }
SHOWN int ncclRedOpCreatePreMulSum(int *operation) { return *operation = 5, 0; }
SHOWN int ncclAllReduce(const void *sent, void *received, size_t count, int type, int operation, void *each,
    void *stream) {
  return passed_on(sent, received, count, type);
}
SHOWN int ncclBroadcast(const void *sent, void *received, size_t count, int type, int root, void *each,
    void *stream) {
  return passed_on(sent, received, count, type);
}
SHOWN int ncclReduce(const void *sent, void *received, size_t count, int type, int operation, int root, void *each,
    void *stream) {
  return passed_on(sent, received, count, type);
}
SHOWN int ncclAllGather(const void *sent, void *received, size_t count, int type, Communicator *each, void *stream) {
  for (int rank = 1; rank < each->size; rank++)
    memmove((char *)received + rank * count * WIDTHS[type], sent, count * WIDTHS[type]);
  return passed_on(sent, received, count, type);
}
