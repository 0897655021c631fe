#define _GNU_SOURCE /* explicit_bzero, strcasestr */

#include "control/command/secrets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "control/command/command.h"
#include "control/command/settings.h"
#include "control/session/password_file.h"
#include "control/session/url.h"
#include "dataplane/base/error.h"

#define URL_BYTES_MAX  4096u
#define PATH_BYTES_MAX 4096u

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

/* A flag overrides the config file, also where it names the file in the other way. */
static const char *choose_password_file(struct settings *s, struct secrets_flags flags)
{
	size_t len;
	bool url_has_one = flags.url && secrets_find_password(s->url, &len);
	bool file_flag = flags.password_file || flags.password_credential;

	if (url_has_one && file_flag)
		return "--url has a password already: give it without one, or leave the password file out";
	if (url_has_one || (flags.password_credential && !flags.password_file))
		s->password_file = NULL;
	if (url_has_one || (flags.password_file && !flags.password_credential))
		s->password_credential = NULL;
	if (s->password_file && s->password_credential)
		return "password-file and password-credential both name a password: give one of them";
	return NULL;
}

/* Where systemd has put the credential: becomes password_file. */
static const char *find_credential(struct secrets *secrets, struct settings *s)
{
	const char *directory = getenv("CREDENTIALS_DIRECTORY");

	if (!s->password_credential)
		return NULL;
	if (!directory || !*directory)
		return "--password-credential: $CREDENTIALS_DIRECTORY is not set: systemd sets it for a service whose "
		       "unit "
		       "has LoadCredential= or SetCredential=";
	secrets->password_path = malloc(PATH_BYTES_MAX);
	if (!secrets->password_path)
		return "out of memory";
	if (snprintf(secrets->password_path, PATH_BYTES_MAX, "%s/%s", directory, s->password_credential) >=
	    (int)PATH_BYTES_MAX)
		return "--password-credential: the path of the credential is too long";
	s->password_file = secrets->password_path;
	return NULL;
}

/* Reads it in any case: a mistake is told before anything is done. */
static int read_password(struct secrets *secrets, struct settings *s, char *why, size_t why_bytes)
{
	if (!s->password_file)
		return 0;
	secrets->password_text = malloc(URL_PASSWORD_BYTES);
	if (!secrets->password_text)
		return HW_ERR_NOMEM;
	int code = password_file_read(s->password_file, secrets->password_text, URL_PASSWORD_BYTES, why, why_bytes);
	s->password = s->command == COMMAND_CONSUME ? secrets->password_text : NULL;
	return code;
}

static int settle_password_file(struct secrets *secrets, struct settings *s, struct secrets_flags flags, char *why,
				size_t why_bytes)
{
	const char *clash = choose_password_file(s, flags);

	if (!clash)
		clash = find_credential(secrets, s);
	if (!clash)
		return read_password(secrets, s, why, why_bytes);
	snprintf(why, why_bytes, "%s", clash);
	return HW_ERR_INVALID;
}

int secrets_settle(struct secrets *secrets, struct settings *settings, struct secrets_flags flags, char *why,
		   size_t why_bytes)
{
	size_t len;
	const char *environment = getenv("AMQP_URL");
	const char *password = getenv("HAREWIRE_PASSWORD");

	if (settings->url_file && !flags.url) {
		int code = read_url_file(settings->url_file, &secrets->url_text, why, why_bytes);
		if (code)
			return code;
		settings->url = secrets->url_text;
	}
	if (!settings->url)
		settings->url = environment && *environment ? environment : "amqp://localhost";
	if (flags.url && secrets_find_password(settings->url, &len))
		settings->password = NULL;
	else if (password && *password)
		settings->password = password;

	int code = settle_password_file(secrets, settings, flags, why, why_bytes);
	return code ? code : check_url(settings->url, why, why_bytes);
}

void secrets_fini(struct secrets *secrets)
{
	if (secrets->url_text)
		explicit_bzero(secrets->url_text, URL_BYTES_MAX);
	free(secrets->url_text);
	if (secrets->password_text)
		explicit_bzero(secrets->password_text, URL_PASSWORD_BYTES);
	free(secrets->password_text);
	free(secrets->password_path);
}
