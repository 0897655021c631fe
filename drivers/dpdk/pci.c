#include "drivers/dpdk/pci.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define VIRTUAL_FUNCTIONS_MAX 256

/* Drivers of NICs that DPDK shares with the kernel instead of taking them away from it. */
static const char *const bifurcated_drivers[] = {"mlx5_core", "mlx4_core", "mana"};

static void path_of(char *path, const char *sysfs, const char *address, const char *entry)
{
	snprintf(path, PATH_MAX, "%s/bus/pci/devices/%s/%s", sysfs, address, entry);
}

/* The last part of what the link points to; "" if there is none. */
static void read_link_name(const char *sysfs, const char *address, const char *link, char *name, size_t bytes)
{
	char path[PATH_MAX], target[PATH_MAX];
	path_of(path, sysfs, address, link);
	ssize_t len = readlink(path, target, sizeof target - 1);
	name[0] = '\0';
	if (len <= 0)
		return;
	target[len] = '\0';
	const char *slash = strrchr(target, '/');
	snprintf(name, bytes, "%.60s", slash ? slash + 1 : target);
}

bool pci_exists(const char *sysfs, const char *address)
{
	char path[PATH_MAX];
	path_of(path, sysfs, address, "");
	return access(path, F_OK) == 0;
}

unsigned pci_number(const char *sysfs, const char *address, const char *file)
{
	char path[PATH_MAX];
	unsigned number = 0;
	path_of(path, sysfs, address, file);
	FILE *f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%x", &number) != 1)
		number = 0;
	fclose(f);
	return number;
}

void pci_driver(const char *sysfs, const char *address, char *driver, size_t bytes)
{
	read_link_name(sysfs, address, "driver", driver, bytes);
}

bool pci_is_bifurcated(const char *sysfs, const char *address)
{
	char driver[64];
	pci_driver(sysfs, address, driver, sizeof driver);
	for (size_t i = 0; i < sizeof bifurcated_drivers / sizeof bifurcated_drivers[0]; i++)
		if (strcmp(driver, bifurcated_drivers[i]) == 0)
			return true;
	return false;
}

void pci_interface(const char *sysfs, const char *address, char interface[16])
{
	char path[PATH_MAX];
	const struct dirent *entry;
	path_of(path, sysfs, address, "net");
	interface[0] = '\0';
	DIR *directory = opendir(path);
	while (directory && (entry = readdir(directory)) != NULL)
		if (entry->d_name[0] != '.' && (!interface[0] || strcmp(entry->d_name, interface) < 0))
			snprintf(interface, 16, "%.15s", entry->d_name);
	if (directory)
		closedir(directory);
}

int pci_physical_function(const char *sysfs, const char *address, char *physical, size_t bytes)
{
	char link[24], name[64];
	read_link_name(sysfs, address, "physfn", physical, bytes);
	for (int i = 0; physical[0] && i < VIRTUAL_FUNCTIONS_MAX; i++) {
		snprintf(link, sizeof link, "virtfn%d", i);
		read_link_name(sysfs, physical, link, name, sizeof name);
		if (strcmp(name, address) == 0)
			return i;
	}
	return -1;
}
