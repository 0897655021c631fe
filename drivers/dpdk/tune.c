/* Arguments of DPDK's drivers that matter to latency and that they do not choose by themselves. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "drivers/dpdk/device.h"
#include "drivers/dpdk/pci.h"

#define PCI_VENDOR_INTEL 0x8086u

/* As the kernel's ice driver and DPDK's list them; the later ones (E822 and on) are not NICs one buys. */
static const uint16_t e810_ids[] = {0x1591, 0x1592, 0x1593, 0x1599, 0x159a, 0x159b};

/* Without an answer in the devargs: mlx5 inlines packets only from 8 queues on, and ice gathers completions for a
 * while. */
static const char *tuning(const struct dpdk_device *device, const char *sysfs)
{
	char driver[64];
	pci_driver(sysfs, device->name, driver, sizeof driver);
	if (strcmp(driver, "mlx5_core") == 0)
		return "txqs_min_inline=0";
	unsigned id = pci_number(sysfs, device->name, "device");
	for (size_t i = 0; i < sizeof e810_ids / sizeof e810_ids[0]; i++)
		if (id == e810_ids[i] && pci_number(sysfs, device->name, "vendor") == PCI_VENDOR_INTEL)
			return "rx_low_latency=1";
	return NULL;
}

static bool has_argument(const struct dpdk_device *device, const char *argument)
{
	char key[32];
	snprintf(key, sizeof key, ",%.*s", (int)strcspn(argument, "=") + 1, argument);
	return strstr(device->devargs, key) != NULL;
}

void dpdk_device_tune(struct dpdk_device *device, const char *sysfs)
{
	const char *argument = device->pci ? tuning(device, sysfs) : NULL;
	size_t used = strlen(device->devargs);
	if (argument && !has_argument(device, argument) && strlen(argument) + 1 < sizeof device->devargs - used)
		snprintf(device->devargs + used, sizeof device->devargs - used, ",%s", argument);
}
