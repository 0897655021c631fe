#include "tests/lib/fake_sysfs.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];

static void must(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	abort();
}

const char *fake_sysfs_open(void)
{
	strcpy(root, "/tmp/harewire-sysfs-XXXXXX");
	must(mkdtemp(root) != NULL, root);
	return root;
}

void fake_sysfs_close(void)
{
	char command[128];
	snprintf(command, sizeof command, "rm -rf -- %s", root);
	must(system(command) == 0, command);
}

static void whole_path(char *whole, const char *path)
{
	snprintf(whole, PATH_MAX, "%s/%s", root, path);
	for (char *at = whole + strlen(root) + 1; (at = strchr(at, '/')) != NULL; *at++ = '/') {
		*at = '\0';
		must(mkdir(whole, 0700) == 0 || errno == EEXIST, whole);
	}
}

void fake_sysfs_directory(const char *path)
{
	char whole[PATH_MAX];
	whole_path(whole, path);
	must(mkdir(whole, 0700) == 0 || errno == EEXIST, whole);
}

void fake_sysfs_file(const char *path, const char *content)
{
	char whole[PATH_MAX];
	whole_path(whole, path);
	FILE *f = fopen(whole, "w");
	must(f != NULL, whole);
	fputs(content, f);
	fclose(f);
}

void fake_sysfs_link(const char *path, const char *target)
{
	char whole[PATH_MAX];
	whole_path(whole, path);
	must(symlink(target, whole) == 0, whole);
}

static const char *entry_of(char *path, const char *address, const char *entry)
{
	snprintf(path, PATH_MAX, "bus/pci/devices/%s/%s", address, entry);
	return path;
}

void fake_sysfs_pci(const char *address, const char *class, const char *driver)
{
	char path[PATH_MAX], target[128];
	fake_sysfs_file(entry_of(path, address, "class"), class);
	if (!driver)
		return;
	snprintf(target, sizeof target, "../../drivers/%s", driver);
	fake_sysfs_link(entry_of(path, address, "driver"), target);
}

void fake_sysfs_pci_file(const char *address, const char *file, const char *content)
{
	char path[PATH_MAX];
	fake_sysfs_file(entry_of(path, address, file), content);
}

void fake_sysfs_pci_interface(const char *address, const char *interface)
{
	char path[PATH_MAX], entry[32];
	snprintf(entry, sizeof entry, "net/%s", interface);
	fake_sysfs_directory(entry_of(path, address, entry));
}

void fake_sysfs_pci_virtual(const char *address, int number, const char *virtual)
{
	char path[PATH_MAX], entry[32], target[64];
	snprintf(entry, sizeof entry, "virtfn%d", number);
	snprintf(target, sizeof target, "../%s", virtual);
	fake_sysfs_link(entry_of(path, address, entry), target);
	snprintf(target, sizeof target, "../%s", address);
	fake_sysfs_link(entry_of(path, virtual, "physfn"), target);
}
