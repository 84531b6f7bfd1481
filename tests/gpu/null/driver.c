// libcuda.so.1 of the null GPU: what libraries ask the driver for themselves succeeds and does nothing.
#include <stddef.h>

#define NOTHING(name) \
  int name() { return 0; }

NOTHING(cuInit) NOTHING(cuCtxFromGreenCtx) NOTHING(cuCtxPopCurrent) NOTHING(cuCtxPushCurrent) NOTHING(cuCtxSetCurrent)
NOTHING(cuCtxSynchronize) NOTHING(cuDeviceGet) NOTHING(cuDeviceGetDevResource) NOTHING(cuDevicePrimaryCtxRelease)
NOTHING(cuDevicePrimaryCtxRetain) NOTHING(cuFuncGetAttribute) NOTHING(cuFuncSetAttribute) NOTHING(cuGetErrorName)
NOTHING(cuGetErrorString) NOTHING(cuLaunchCooperativeKernel) NOTHING(cuLaunchKernel) NOTHING(cuLaunchKernelEx)
NOTHING(cuLinkAddData) NOTHING(cuLinkAddData_v2) NOTHING(cuLinkComplete) NOTHING(cuLinkCreate) NOTHING(cuLinkCreate_v2)
NOTHING(cuModuleGetFunction) NOTHING(cuModuleLoad) NOTHING(cuModuleLoadData) NOTHING(cuModuleLoadDataEx)
NOTHING(cuModuleUnload) NOTHING(cuOccupancyMaxActiveBlocksPerMultiprocessor) NOTHING(cuPointerGetAttribute)
NOTHING(cuStreamWriteValue32) NOTHING(cuTensorMapEncodeTiled)

int cuDriverGetVersion(int *version) { return *version = 13000, 0; }
int cuDeviceGetCount(int *count) { return *count = 1, 0; }
int cuCtxGetCurrent(void **context) { return *context = (void *)1, 0; }
int cuGetProcAddress(const char *name, void **function) { return *function = (void *)cuInit, 0; }
int cuGetProcAddress_v2(const char *name, void **function) { return *function = (void *)cuInit, 0; }
int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) {
  if (flags) *flags = 0;
  if (active) *active = 1;
  return 0;
}
