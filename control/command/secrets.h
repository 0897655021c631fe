/* Passwords: where they come from, and that they are not left lying about. */
#ifndef HAREWIRE_COMMAND_SECRETS_H
#define HAREWIRE_COMMAND_SECRETS_H

#include <stdbool.h>
#include <stddef.h>

struct settings;

/* Where the password lies in "amqp://user:password@...": its first octet and its length; NULL: there is none. */
const char *secrets_find_password(const char *url, size_t *len);

/*
 * Copies of the arguments (NULL at the end), after which every password in a URL among the originals is overwritten, so
 * that ps does not show it. `*found` tells whether there was one. NULL: out of memory. Free with
 * secrets_free_arguments, which wipes them.
 */
char **secrets_take_arguments(int argc, char *argv[], bool *found);
void secrets_free_arguments(char **arguments);

/* What secrets_settle has read; wiped by secrets_fini. */
struct secrets {
	char *url_text;      /* contents of --url-file */
	char *password_text; /* of the password file, for consume */
	char *password_path; /* of --password-credential */
};

/* What came from the command line. */
struct secrets_flags {
	bool url, password_file, password_credential;
};

/*
 * Settles url and password of the settings: --url, then --url-file, then the config file, then $AMQP_URL, then
 * amqp://localhost; $HAREWIRE_PASSWORD replaces any password but one in --url itself, and a password file all of them.
 * password_file is then set for the library to read for every connection, or where the command itself connects, once,
 * read into password. 0, or HW_ERR_* with a sentence (an unreadable file, a URL that cannot be used, two passwords on
 * the command line).
 */
int secrets_settle(struct secrets *secrets, struct settings *settings, struct secrets_flags flags, char *why,
		   size_t why_bytes);
void secrets_fini(struct secrets *secrets);

#endif
