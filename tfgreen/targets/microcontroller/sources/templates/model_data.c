/* For projects in C: compile this file in place of model_data.cc. */
#include "../src/@ID@/model_data.cc"
