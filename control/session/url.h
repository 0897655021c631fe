/*
 * amqp:// URLs, after RabbitMQ's URI specification (https://www.rabbitmq.com/docs/uri-spec):
 *
 *     amqp://[user[:password]@][host[:port]][/vhost]
 *
 * A part that is absent takes its default: guest, guest, localhost, 5672, "/". As the specification has it, a part that
 * is there but empty is empty: "amqp://:@host" has an empty user and password. One deliberate exception:
 * "amqp://host/", which the specification reads as the vhost "", means "/" here, as everybody who types it expects. The
 * vhost "/" is written %2f. Stricter than the specification in what people get wrong: a raw '@' or '/' is refused in a
 * vhost, so that neither, left unescaped in a password, can turn a part of it into a host name.
 */
#ifndef HAREWIRE_SESSION_URL_H
#define HAREWIRE_SESSION_URL_H

#include <stdint.h>

#define URL_NAME_BYTES     256 /* AMQP short strings have up to 255 octets */
#define URL_PASSWORD_BYTES 1024

struct url_parts {
	char user[URL_NAME_BYTES];
	char password[URL_PASSWORD_BYTES];
	char vhost[URL_NAME_BYTES];
	char host[URL_NAME_BYTES]; /* a name or a dotted IPv4 address */
	uint16_t port;
};

/*
 * 0; or HW_ERR_INVALID, or HW_ERR_UNSUPPORTED for what is well-formed but not to be had yet (amqps, IPv6), with `*why`
 * a static sentence that quotes nothing of the URL, and `*parts` zeroed.
 */
int url_parse(const char *url, struct url_parts *parts, const char **why);

#endif
