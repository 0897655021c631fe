/* A made-up /sys in a directory of its own: what a host has that this one has not. Any failure ends the test program.
 */
#ifndef HAREWIRE_FAKE_SYSFS_H
#define HAREWIRE_FAKE_SYSFS_H

/* Makes it; its path, which is to be given where "/sys" would be. */
const char *fake_sysfs_open(void);
void fake_sysfs_close(void);

/* Paths are relative to it. Missing directories on the way are made. */
void fake_sysfs_directory(const char *path);
void fake_sysfs_file(const char *path, const char *content);
void fake_sysfs_link(const char *path, const char *target);

/* A PCI device of class `class` ("0x020000"), bound to `driver` (NULL: to none). */
void fake_sysfs_pci(const char *address, const char *class, const char *driver);
/* What else it has: a file, an interface of the kernel's, a virtual function (a device made before) of this number. */
void fake_sysfs_pci_file(const char *address, const char *file, const char *content);
void fake_sysfs_pci_interface(const char *address, const char *interface);
void fake_sysfs_pci_virtual(const char *address, int number, const char *virtual);

#endif
