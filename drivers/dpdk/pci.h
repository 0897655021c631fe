/* What sysfs says of a PCI device. `sysfs` is "/sys", `address` "0000:3b:00.0". Knows no DPDK. */
#ifndef HAREWIRE_DPDK_PCI_H
#define HAREWIRE_DPDK_PCI_H

#include <stdbool.h>
#include <stddef.h>

bool pci_exists(const char *sysfs, const char *address);

/* A file with a hexadecimal number in it: "class", "vendor", "device". 0 if there is none. */
unsigned pci_number(const char *sysfs, const char *address, const char *file);

/* The kernel's driver it is bound to, or "". */
void pci_driver(const char *sysfs, const char *address, char *driver, size_t bytes);

/* Is the kernel's driver one that shares the device with DPDK instead of leaving it? */
bool pci_is_bifurcated(const char *sysfs, const char *address);

/* The first by name of the kernel's interfaces on it, or "". */
void pci_interface(const char *sysfs, const char *address, char interface[16]);

/* The physical function of a virtual one, by its address ("": this is none), and the number it has there, from 0; -1.
 */
int pci_physical_function(const char *sysfs, const char *address, char *physical, size_t bytes);

#endif
