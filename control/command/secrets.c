#define _GNU_SOURCE /* explicit_bzero, strcasestr */

#include "control/command/secrets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "control/command/command.h"
#include "control/command/settings.h"
#include "control/session/url.h"
#include "dataplane/base/error.h"

#define URL_BYTES_MAX 4096u

/* The last '@' ends the password even where a sloppy URL has one inside, or a '/': rather hide too much than too
 * little. */
const char *secrets_find_password(const char *url, size_t *len)
{
	const char *scheme = strcasestr(url, "amqp");
	const char *scheme_end = scheme ? strstr(scheme, "://") : NULL;
	if (!scheme_end)
		return NULL;

	const char *user = scheme_end + 3;
	const char *at = strrchr(user, '@');
	const char *colon = at ? memchr(user, ':', (size_t)(at - user)) : NULL;
	if (!colon)
		return NULL;
	*len = (size_t)(at - colon - 1);
	return colon + 1;
}

char **secrets_take_arguments(int argc, char *argv[], bool *found)
{
	char **copies = calloc((size_t)argc + 1, sizeof *copies);

	*found = false;
	for (int i = 0; copies && i < argc; i++) {
		size_t len;
		copies[i] = strdup(argv[i]);
		if (!copies[i]) {
			secrets_free_arguments(copies);
			return NULL;
		}
		const char *password = secrets_find_password(argv[i], &len);
		if (password && len) {
			memset((char *)password, 'x', len);
			*found = true;
		}
	}
	return copies;
}

void secrets_free_arguments(char **arguments)
{
	for (char **p = arguments; p && *p; p++) {
		explicit_bzero(*p, strlen(*p));
		free(*p);
	}
	free(arguments);
}

static int read_url_file(const char *path, char **out, char *why, size_t why_bytes)
{
	struct stat st;
	FILE *f = fopen(path, "re");
	char *line = f ? calloc(1, URL_BYTES_MAX) : NULL;

	if (!line || !fgets(line, URL_BYTES_MAX, f)) {
		snprintf(why, why_bytes, "--url-file: cannot read a URL from %s: %s", path,
			 f && line && !ferror(f) ? "it is empty" : strerror(errno));
		free(line);
		if (f)
			fclose(f);
		return HW_ERR_INVALID;
	}
	size_t password_len;
	line[strcspn(line, " \t\r\n")] = '\0';
	if (fstat(fileno(f), &st) == 0 && st.st_mode & (S_IRWXG | S_IRWXO) &&
	    secrets_find_password(line, &password_len))
		complain("warning: %s holds a password and others may read it; chmod 600 %s", path, path);
	fclose(f);
	*out = line;
	return 0;
}

static int check_url(const char *url, char *why, size_t why_bytes)
{
	struct url_parts parts;
	const char *reason = NULL;

	int code = url_parse(url, &parts, &reason);
	explicit_bzero(&parts, sizeof parts);
	if (code)
		snprintf(why, why_bytes, "%s", reason);
	return code;
}

int secrets_settle(struct secrets *secrets, struct settings *settings, bool url_from_flag, char *why, size_t why_bytes)
{
	size_t len;
	const char *environment = getenv("AMQP_URL");
	const char *password = getenv("HAREWIRE_PASSWORD");

	if (settings->url_file && !url_from_flag) {
		int code = read_url_file(settings->url_file, &secrets->url_text, why, why_bytes);
		if (code)
			return code;
		settings->url = secrets->url_text;
	}
	if (!settings->url)
		settings->url = environment && *environment ? environment : "amqp://localhost";
	if (url_from_flag && secrets_find_password(settings->url, &len))
		settings->password = NULL;
	else if (password && *password)
		settings->password = password;

	return check_url(settings->url, why, why_bytes);
}

void secrets_fini(struct secrets *secrets)
{
	if (secrets->url_text)
		explicit_bzero(secrets->url_text, URL_BYTES_MAX);
	free(secrets->url_text);
}
