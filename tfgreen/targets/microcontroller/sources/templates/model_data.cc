/* Rendered by tfgreen. Compiles as C++11 and, included by a .c file, as C99. */
#include "model_data.h"

#if defined(__cplusplus)
#define @GUARD@_ALIGN_16 alignas(16)
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define @GUARD@_ALIGN_16 _Alignas(16)
#elif defined(__GNUC__)
#define @GUARD@_ALIGN_16 __attribute__((aligned(16)))
#else
#error "Tell this compiler how to align g_@ID@_data to 16 bytes."
#endif

@GUARD@_ALIGN_16 const unsigned char g_@ID@_data[@MODEL_BYTES@] = {
@MODEL_ROWS@
};
const unsigned int g_@ID@_data_len = @MODEL_BYTES@;
