/* Text to tokens, one ahead. */
#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/packetdrill/run_script.h"

void script_fail(const char *path, int line, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fprintf(stderr, "%s:%d: ", path, line);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	exit(EXIT_FAILURE);
}

static void skip_until(struct lexer *l, const char *end)
{
	const char *found = strstr(l->at, end);
	if (!found)
		script_fail(l->path, l->line, "a comment without end");
	for (; l->at < found + strlen(end); l->at++)
		l->line += *l->at == '\n';
}

static void skip_space(struct lexer *l)
{
	for (;;) {
		if (strncmp(l->at, "//", 2) == 0)
			skip_until(l, "\n");
		else if (strncmp(l->at, "/*", 2) == 0)
			skip_until(l, "*/");
		else if (isspace((unsigned char)*l->at))
			l->line += *l->at++ == '\n';
		else
			return;
	}
}

static void take_text(struct lexer *l, enum token_kind kind, size_t len)
{
	if (len >= sizeof l->token.text)
		script_fail(l->path, l->line, "too long: '%.40s...'", l->at);
	l->token.kind = kind;
	memcpy(l->token.text, l->at, len);
	l->token.text[len] = 0;
	l->at += len;
}

static size_t word_len(const char *p)
{
	size_t len = 0;
	while (isalnum((unsigned char)p[len]) || p[len] == '_')
		len++;
	return len;
}

static void take_string(struct lexer *l)
{
	l->at++;
	size_t len = strcspn(l->at, "\"\n");
	if (l->at[len] != '"')
		script_fail(l->path, l->line, "a string without end");
	take_text(l, TOKEN_STRING, len);
	l->at++;
}

/* -12, 0x1f, 1.5, .5 */
static void take_number(struct lexer *l)
{
	const char *p = l->at + (*l->at == '-');
	char *end;
	while (isdigit((unsigned char)*p))
		p++;
	if (*p == '.' && isdigit((unsigned char)p[1])) {
		l->token.kind = TOKEN_FLOAT;
		l->token.floating = strtod(l->at, &end);
	} else {
		bool hex = l->at[0] == '0' && l->at[1] == 'x';
		l->token.kind = TOKEN_INTEGER;
		l->token.integer = strtoll(l->at, &end, hex ? 16 : 10);
		l->token.hex = hex;
	}
	l->at = end;
}

static bool at_number(const char *p)
{
	p += *p == '-';
	return isdigit((unsigned char)p[0]) || (p[0] == '.' && isdigit((unsigned char)p[1]));
}

void lexer_next(struct lexer *l)
{
	skip_space(l);
	l->token = (struct token){.kind = TOKEN_END, .line = l->line};
	if (!*l->at)
		return;
	if (*l->at == '`' || strncmp(l->at, "%{", 2) == 0)
		script_fail(l->path, l->line, "shell commands and Python need packetdrill itself");
	if (*l->at == '"') {
		take_string(l);
	} else if (strncmp(l->at, "--", 2) == 0) {
		l->at += 2;
		take_text(l, TOKEN_OPTION, word_len(l->at));
	} else if (strncmp(l->at, "...", 3) == 0) {
		l->token.kind = TOKEN_ELLIPSIS;
		l->at += 3;
	} else if (at_number(l->at)) {
		take_number(l);
	} else if (word_len(l->at)) {
		take_text(l, TOKEN_WORD, word_len(l->at));
	} else {
		l->token.kind = TOKEN_CHAR;
		l->token.character = *l->at++;
	}
}

void lexer_init(struct lexer *l, const char *path, const char *text)
{
	*l = (struct lexer){.path = path, .at = text, .line = 1};
	lexer_next(l);
}

bool lexer_at_char(const struct lexer *l, char c)
{
	return l->token.kind == TOKEN_CHAR && l->token.character == c;
}

bool lexer_at_word(const struct lexer *l, const char *word)
{
	return l->token.kind == TOKEN_WORD && strcmp(l->token.text, word) == 0;
}

bool lexer_accept_char(struct lexer *l, char c)
{
	bool is = lexer_at_char(l, c);
	if (is)
		lexer_next(l);
	return is;
}

bool lexer_accept_word(struct lexer *l, const char *word)
{
	bool is = lexer_at_word(l, word);
	if (is)
		lexer_next(l);
	return is;
}

void lexer_expect_char(struct lexer *l, char c)
{
	if (!lexer_accept_char(l, c))
		script_fail(l->path, l->token.line, "parse error: '%c' expected", c);
}

int64_t lexer_expect_integer(struct lexer *l, const char *what, int64_t least, int64_t most)
{
	if (l->token.kind != TOKEN_INTEGER || l->token.integer < least || l->token.integer > most)
		script_fail(l->path, l->token.line, "parse error: %s expected, %" PRId64 " to %" PRId64, what, least,
			    most);
	int64_t value = l->token.integer;
	lexer_next(l);
	return value;
}
