#include "drivers/af_xdp/device.h"

#include <dirent.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdbool.h>
#include <string.h>

#include "dataplane/base/error.h"
#include "drivers/ethtool.h"

/* How many entries of /sys/class/net/<interface>/queues begin with `prefix`. 0 where sysfs shows another namespace. */
static uint32_t sysfs_queues(const char *interface, const char *prefix)
{
	char path[64];
	snprintf(path, sizeof path, "/sys/class/net/%s/queues", interface);
	DIR *directory = opendir(path);
	if (!directory)
		return 0;
	uint32_t n = 0;
	for (struct dirent *entry; (entry = readdir(directory));)
		n += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
	closedir(directory);
	return n;
}

/* The queues in use, not those allocated. A driver without channels (tun, e1000e) has at least one of each. */
static void probe_queues(struct device *device)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	if (ethtool_request(device->name, &channels) == 0) {
		device->rx_queues = channels.combined_count + channels.rx_count;
		device->tx_queues = channels.combined_count + channels.tx_count;
	} else {
		device->rx_queues = sysfs_queues(device->name, "rx-");
		device->tx_queues = sysfs_queues(device->name, "tx-");
	}
	device->rx_queues = device->rx_queues ? device->rx_queues : 1;
	device->tx_queues = device->tx_queues ? device->tx_queues : 1;
}

static void probe_driver(struct device *device)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	if (ethtool_request(device->name, &info) == 0 && info.driver[0])
		snprintf(device->driver, sizeof device->driver, "%.31s", info.driver);
	else
		snprintf(device->driver, sizeof device->driver, "unknown");
}

static int probe_link(struct device *device, const struct why *why)
{
	const char *name = device->name;
	struct ifreq flags = interface_request_for(name), mac = interface_request_for(name),
		     mtu = interface_request_for(name);
	int rc = interface_request(SIOCGIFFLAGS, &flags);
	rc = rc ? rc : interface_request(SIOCGIFHWADDR, &mac);
	rc = rc ? rc : interface_request(SIOCGIFMTU, &mtu);
	if (rc)
		return why_say(why, HW_ERR_SYSTEM, "%s: the kernel does not describe the interface: %s", name,
			       strerror(-rc));
	if (mac.ifr_hwaddr.sa_family != ARPHRD_ETHER)
		return why_say(why, HW_ERR_INVALID, "%s is not an Ethernet interface: use the kernel driver there",
			       name);
	if (!(flags.ifr_flags & IFF_UP))
		return why_say(why, HW_ERR_LINK_DOWN, "%s is down: bring it up with `ip link set dev %s up`", name,
			       name);
	memcpy(device->mac, mac.ifr_hwaddr.sa_data, sizeof device->mac);
	device->mtu = (uint32_t)mtu.ifr_mtu;
	return 0;
}

int device_probe(const char *interface, struct device *device, const struct why *why)
{
	memset(device, 0, sizeof *device);
	if (!interface || strlen(interface) >= sizeof device->name)
		return why_say(why, HW_ERR_INVALID, "%s is not the name of an interface",
			       interface ? interface : "(none)");
	strcpy(device->name, interface);
	device->index = if_nametoindex(interface);
	if (!device->index)
		return why_say(why, HW_ERR_INVALID,
			       "there is no interface %s in this network namespace: `ip link` lists them", interface);
	int rc = probe_link(device, why);
	if (rc)
		return rc;
	probe_driver(device);
	probe_queues(device);
	return 0;
}
