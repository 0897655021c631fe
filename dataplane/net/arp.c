#include "dataplane/net/arp.h"

#include <string.h>

#include "dataplane/base/bytes.h"
#include "dataplane/base/error.h"
#include "dataplane/net/ethernet.h"

#define ARP_HARDWARE_ETHERNET 1u

int arp_parse(const uint8_t *p, size_t len, struct arp *arp)
{
	if (len < ARP_BYTES)
		return HW_ERR_PACKET_SHORT;
	if (get_be16(p) != ARP_HARDWARE_ETHERNET || get_be16(p + 2) != ETHERTYPE_IPV4 || p[4] != 6 || p[5] != 4)
		return HW_ERR_PACKET_MALFORMED;
	arp->operation = get_be16(p + 6);
	if (arp->operation != ARP_REQUEST && arp->operation != ARP_REPLY)
		return HW_ERR_PACKET_MALFORMED;
	if (p[8] & 1)
		return HW_ERR_PACKET_MALFORMED;
	memcpy(arp->sender_mac, p + 8, 6);
	arp->sender_ip = get_be32(p + 14);
	memcpy(arp->target_mac, p + 18, 6);
	arp->target_ip = get_be32(p + 24);
	return 0;
}

static void build(uint8_t *p, const struct arp *arp)
{
	put_be16(p, ARP_HARDWARE_ETHERNET);
	put_be16(p + 2, ETHERTYPE_IPV4);
	p[4] = 6;
	p[5] = 4;
	put_be16(p + 6, arp->operation);
	memcpy(p + 8, arp->sender_mac, 6);
	put_be32(p + 14, arp->sender_ip);
	memcpy(p + 18, arp->target_mac, 6);
	put_be32(p + 24, arp->target_ip);
}

void arp_build_request(uint8_t *p, const uint8_t sender_mac[6], uint32_t sender_ip, uint32_t target_ip)
{
	struct arp arp = {.operation = ARP_REQUEST, .sender_ip = sender_ip, .target_ip = target_ip};
	memcpy(arp.sender_mac, sender_mac, 6);
	build(p, &arp);
}

void arp_build_reply(uint8_t *p, const uint8_t our_mac[6], const struct arp *request)
{
	struct arp arp = {.operation = ARP_REPLY, .sender_ip = request->target_ip, .target_ip = request->sender_ip};
	memcpy(arp.sender_mac, our_mac, 6);
	memcpy(arp.target_mac, request->sender_mac, 6);
	build(p, &arp);
}
