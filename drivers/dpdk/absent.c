/* In place of the driver in a build without DPDK (make DPDK=0, or no libdpdk found). */
#include <stdio.h>

#include "dataplane/base/error.h"
#include "drivers/dpdk/dpdk.h"
#include "drivers/dpdk/telemetry.h"

int dpdk_create(const struct dpdk_options *options, struct driver **out, char *why, size_t why_bytes)
{
	snprintf(why, why_bytes, "this build has no DPDK: install libdpdk-dev and build again");
	return HW_ERR_UNSUPPORTED;
}

int dpdk_telemetry_open(const struct telemetry_source *source)
{
	return HW_ERR_UNSUPPORTED;
}

void dpdk_telemetry_close(void)
{
}
