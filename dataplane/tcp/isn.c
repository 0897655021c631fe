#include "dataplane/base/bytes.h"
#include "dataplane/base/siphash.h"
#include "dataplane/tcp/tcp.h"

/*
 * RFC 6528, 3: ISN = M + F(localip, localport, remoteip, remoteport, secretkey). M ticks every 4 us; 4.096 us here, for
 * a shift instead of a division.
 */
uint32_t tcp_initial_sequence(const uint8_t secret[16], const struct tcp_tuple *tuple, uint64_t now_ns)
{
	uint8_t key[12];
	put_be32(key, tuple->local_ip);
	put_be32(key + 4, tuple->remote_ip);
	put_be16(key + 8, tuple->local_port);
	put_be16(key + 10, tuple->remote_port);
	return (uint32_t)(now_ns >> 12) + (uint32_t)siphash(secret, key, sizeof key);
}
