// @TITLE@, rendered by tfgreen: float numbers in, float numbers out.
#ifndef @GUARD@_H_
#define @GUARD@_H_

#include "@ID@/inference.h"
@GOLDEN_INCLUDE@
#endif  // @GUARD@_H_
