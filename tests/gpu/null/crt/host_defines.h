// The part of CUDA's compiler header that the runtime's header asks for, which no wheel brings.
#define __align__(n) __attribute__((aligned(n)))
#define __builtin_align__(n) __attribute__((aligned(n)))
#define __cudart_builtin__
#define __device_builtin__
#define __device_builtin_surface_type__
#define __device_builtin_texture_type__
#define __host__
#define __device__
#define __location__(a)
#define __forceinline__ inline
#define __noinline__
#define __no_return__ __attribute__((noreturn))
#define CUDARTAPI
#define CUDARTAPI_CDECL
#define __specialization_static static
#define __CUDA_HOSTDEVICE__
#define CUDARTAPI_WEAK
