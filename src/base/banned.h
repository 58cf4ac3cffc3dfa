/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions that this project does not use become compile errors. Included by the build in front of
 * every file, after the system's own declarations are in; assembly code has none.
 */
#pragma once

#ifndef __ASSEMBLER__

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy strcat sprintf vsprintf strtok localtime gmtime ctime asctime gets
#undef alloca
#pragma GCC poison atoi atol atoll atof alloca

#endif
