/* ARP for IPv4 over Ethernet (RFC 826), for drivers that own their address. */
#ifndef HAREWIRE_NET_ARP_H
#define HAREWIRE_NET_ARP_H

#include <stddef.h>
#include <stdint.h>

#define ARP_BYTES   28u
#define ARP_REQUEST 1u
#define ARP_REPLY   2u

struct arp {
	uint16_t operation;
	uint8_t sender_mac[6], target_mac[6];
	uint32_t sender_ip, target_ip; /* host byte order */
};

/*
 * Takes an ARP payload (link header removed, padding allowed) apart. 0, HW_ERR_PACKET_SHORT, or
 * HW_ERR_PACKET_MALFORMED: not IPv4 over Ethernet, neither request nor reply, or a sender that is a multicast address
 * (nobody's).
 */
int arp_parse(const uint8_t *p, size_t len, struct arp *arp);

/* Writes ARP_BYTES octets: who has `target_ip`? Asked with sender_ip 0 it is a probe (RFC 5227). */
void arp_build_request(uint8_t *p, const uint8_t sender_mac[6], uint32_t sender_ip, uint32_t target_ip);

/* Writes ARP_BYTES octets: our address, to whom asked for it. */
void arp_build_reply(uint8_t *p, const uint8_t our_mac[6], const struct arp *request);

#endif
