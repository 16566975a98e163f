/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Version of the library and of the shared-memory ABI.
 *
 * The library follows semantic versioning. The ABI major is the number both ends of a control
 * socket must share; a minor only adds. While the major is 0 they must share the minor, too, and
 * the ABI may change in commits of their own (see CHANGELOG).
 */
#ifndef LSHM_VERSION_H
#define LSHM_VERSION_H

#define LSHM_VERSION_MAJOR 0
#define LSHM_VERSION_MINOR 1
#define LSHM_VERSION_PATCH 0
#define LSHM_VERSION "0.1.0"

#define LSHM_ABI_MAJOR 0
#define LSHM_ABI_MINOR 1

#endif
