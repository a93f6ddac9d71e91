/* The .tflite file of @TITLE@: @MODEL_BYTES@ bytes,
   sha256 @SHA256@.
   Rendered by tfgreen; C99 and C++11. */
#ifndef @GUARD@_MODEL_DATA_H_
#define @GUARD@_MODEL_DATA_H_

#ifdef __cplusplus
extern "C" {
#endif

/* Aligned to 16 bytes, as TensorFlow Lite Micro reads it. */
extern const unsigned char g_@ID@_data[@MODEL_BYTES@];
extern const unsigned int g_@ID@_data_len;

#ifdef __cplusplus
}
#endif

#endif /* @GUARD@_MODEL_DATA_H_ */
