/* The address of a port that is ours alone: as the user writes it, and which way leads where from it. Pure. */
#ifndef HAREWIRE_NIC_ADDRESS_H
#define HAREWIRE_NIC_ADDRESS_H

#include <stddef.h>
#include <stdint.h>

struct nic_address {
	uint32_t ip, gateway; /* host byte order; gateway 0: none */
	uint8_t prefix;       /* 1..32 */
	uint16_t vlan;        /* 0: untagged */
};

/*
 * `address` "10.1.2.3/24", `gateway` "10.1.2.1" or NULL, `vlan` 0..4094. 0, or HW_ERR_INVALID and a sentence.
 */
int nic_address_parse(const char *address, const char *gateway, uint32_t vlan, struct nic_address *out, char *why,
		      size_t why_bytes);

/* Where packets for `destination` go first: to itself on our network, else to the gateway. 0: no way. */
uint32_t nic_address_next_hop(const struct nic_address *address, uint32_t destination);

#endif
