/* Options, the times of events, and calls. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/packetdrill/run_script.h"

struct parser {
	struct lexer l;
	struct script *script;
};

/* ---- options ---- */

static void set_option(struct parser *p, const char *name, const struct token *value)
{
	struct script *s = p->script;
	bool is_text = value->kind == TOKEN_STRING || value->kind == TOKEN_WORD;
	if (strcmp(name, "so_flags") == 0 && is_text)
		snprintf(s->so_flags, sizeof s->so_flags, "%s", value->text);
	else if (strcmp(name, "tolerance_usecs") == 0 && value->kind == TOKEN_INTEGER)
		s->tolerance_usecs = value->integer;
	else if (strcmp(name, "tcp_ts_tick_usecs") == 0 && value->kind == TOKEN_INTEGER)
		s->timestamp_tick_usecs = value->integer;
	else if (strcmp(name, "tcp_ts_ecr_scaled") == 0 && value->kind == TOKEN_END)
		s->timestamp_echo_scaled = true;
	else if (strcmp(name, "ip_version") != 0 || !is_text || strcmp(value->text, "ipv4") != 0)
		script_fail(s->path, p->l.token.line, "option --%s is not understood, or its value is not", name);
}

static void parse_options(struct parser *p)
{
	while (p->l.token.kind == TOKEN_OPTION) {
		char name[FLAGS_MAX];
		struct token value = {.kind = TOKEN_END};
		memcpy(name, p->l.token.text, sizeof name);
		lexer_next(&p->l);
		if (lexer_accept_char(&p->l, '=')) {
			value = p->l.token;
			lexer_next(&p->l);
		}
		set_option(p, name, &value);
	}
}

/* ---- times ---- */

static int64_t parse_usecs(struct parser *p)
{
	const struct token *t = &p->l.token;
	double seconds = t->kind == TOKEN_INTEGER ? (double)t->integer : t->floating;
	if ((t->kind != TOKEN_INTEGER && t->kind != TOKEN_FLOAT) || seconds < 0)
		script_fail(p->l.path, t->line, "parse error: a time in seconds expected");
	lexer_next(&p->l);
	return (int64_t)(seconds * 1e6 + 0.5);
}

static void parse_time(struct parser *p, struct event *e)
{
	e->line = p->l.token.line;
	if (lexer_accept_char(&p->l, '*')) {
		e->time = TIME_ANY;
		return;
	}
	bool relative = lexer_accept_char(&p->l, '+');
	e->time = relative ? TIME_RELATIVE : TIME_ABSOLUTE;
	e->usecs = e->usecs_end = parse_usecs(p);
	if (!lexer_accept_char(&p->l, '~'))
		return;
	if (relative)
		lexer_expect_char(&p->l, '+');
	e->time = relative ? TIME_RELATIVE_RANGE : TIME_ABSOLUTE_RANGE;
	e->usecs_end = parse_usecs(p);
	if (e->usecs_end < e->usecs)
		script_fail(p->l.path, e->line, "time range is backwards");
}

/* ---- expressions ---- */

static struct expression *parse_expression(struct parser *p);

static struct expression *new_expression(struct parser *p, enum expression_kind kind)
{
	if (p->script->expression_count == EXPRESSIONS_MAX)
		script_fail(p->l.path, p->l.token.line, "the script is too long");
	struct expression *e = &p->script->expressions[p->script->expression_count++];
	*e = (struct expression){.kind = kind};
	return e;
}

static void copy_text(struct parser *p, char to[TEXT_MAX], const char *from)
{
	if (strlen(from) >= TEXT_MAX)
		script_fail(p->l.path, p->l.token.line, "too long: '%s'", from);
	memcpy(to, from, strlen(from) + 1);
}

/* Elements up to `end`, which is taken, too. */
static void parse_elements(struct parser *p, struct expression *list, char end)
{
	struct expression **last = &list->first;
	while (!lexer_accept_char(&p->l, end)) {
		if (list->first)
			lexer_expect_char(&p->l, ',');
		*last = parse_expression(p);
		last = &(*last)->next;
	}
}

/* "msg_iov(1)": the number says nothing that the list behind it does not. */
static void skip_count(struct parser *p)
{
	if (!lexer_accept_char(&p->l, '('))
		return;
	parse_expression(p);
	lexer_expect_char(&p->l, ')');
	if (!lexer_at_char(&p->l, '='))
		script_fail(p->l.path, p->l.token.line, "parse error: '=' expected");
}

/* A constant, or name=value, which names a struct's member. */
static struct expression *parse_word(struct parser *p)
{
	char name[TEXT_MAX];
	int line = p->l.token.line;
	copy_text(p, name, p->l.token.text);
	lexer_next(&p->l);
	skip_count(p);
	if (lexer_accept_char(&p->l, '=')) {
		struct expression *member = parse_expression(p);
		copy_text(p, member->name, name);
		return member;
	}
	struct expression *e = new_expression(p, EXPRESSION_INTEGER);
	if (!symbol_find(name, &e->value))
		script_fail(p->l.path, line, "unknown constant '%s'", name);
	return e;
}

static struct expression *parse_term(struct parser *p)
{
	struct expression *e;
	if (p->l.token.kind == TOKEN_WORD)
		return parse_word(p);
	if (p->l.token.kind == TOKEN_INTEGER) {
		e = new_expression(p, EXPRESSION_INTEGER);
		e->value = p->l.token.integer;
		lexer_next(&p->l);
	} else if (p->l.token.kind == TOKEN_STRING) {
		e = new_expression(p, EXPRESSION_STRING);
		copy_text(p, e->text, p->l.token.text);
		lexer_next(&p->l);
	} else if (p->l.token.kind == TOKEN_ELLIPSIS) {
		e = new_expression(p, EXPRESSION_ELLIPSIS);
		lexer_next(&p->l);
	} else if (lexer_accept_char(&p->l, '[')) {
		e = new_expression(p, EXPRESSION_LIST);
		parse_elements(p, e, ']');
	} else {
		lexer_expect_char(&p->l, '{');
		e = new_expression(p, EXPRESSION_STRUCT);
		parse_elements(p, e, '}');
	}
	return e;
}

static struct expression *parse_expression(struct parser *p)
{
	struct expression *e = parse_term(p);
	while (lexer_accept_char(&p->l, '|')) {
		int line = p->l.token.line;
		struct expression *right = parse_term(p);
		if (e->kind != EXPRESSION_INTEGER || right->kind != EXPRESSION_INTEGER)
			script_fail(p->l.path, line, "'|' joins integers");
		e->value |= right->value;
	}
	return e;
}

/* ---- calls ---- */

/* "(Operation now in progress)", for readers: words, and nothing else. */
static void parse_note(struct parser *p)
{
	lexer_expect_char(&p->l, '(');
	do {
		if (p->l.token.kind != TOKEN_WORD)
			script_fail(p->l.path, p->l.token.line, "parse error: words in brackets expected");
		lexer_next(&p->l);
	} while (!lexer_accept_char(&p->l, ')'));
}

/* "EINPROGRESS (Operation now in progress)": never without the note. */
static void parse_errno(struct parser *p, struct call *c)
{
	int64_t value;
	if (!symbol_find(p->l.token.text, &value))
		script_fail(p->l.path, p->l.token.line, "unknown errno '%s'", p->l.token.text);
	c->error = (int)value;
	lexer_next(&p->l);
	parse_note(p);
}

static void parse_call(struct parser *p, struct call *c)
{
	c->line = p->l.token.line;
	copy_text(p, c->name, p->l.token.text);
	lexer_next(&p->l);
	lexer_expect_char(&p->l, '(');
	c->arguments = new_expression(p, EXPRESSION_LIST);
	parse_elements(p, c->arguments, ')');
	lexer_expect_char(&p->l, '=');
	c->result = lexer_expect_integer(&p->l, "the call's result", INT32_MIN, UINT32_MAX);
	if (p->l.token.kind == TOKEN_WORD)
		parse_errno(p, c);
	if (lexer_at_char(&p->l, '('))
		parse_note(p);
}

/* ---- events ---- */

/* "0.100...0.200 read(...)": the call blocks until then. */
static void parse_return_time(struct parser *p, struct event *e)
{
	e->blocks = p->l.token.kind == TOKEN_ELLIPSIS;
	if (!e->blocks)
		return;
	lexer_next(&p->l);
	e->return_usecs = parse_usecs(p);
	if (e->return_usecs < e->usecs)
		script_fail(p->l.path, e->line, "the call returns before it is made");
}

static void parse_event(struct parser *p, struct event *e)
{
	parse_time(p, e);
	parse_return_time(p, e);
	e->is_call = p->l.token.kind == TOKEN_WORD;
	if (e->blocks && !e->is_call)
		script_fail(p->l.path, p->l.token.line, "parse error: a call expected: only calls return later");
	if (e->is_call)
		parse_call(p, &e->call);
	else
		parse_packet(&p->l, &e->packet);
	bool exact = e->time == TIME_ABSOLUTE || e->time == TIME_RELATIVE;
	if (!exact && (e->is_call || !e->packet.outbound))
		script_fail(p->l.path, e->line, "time ranges and * are for outbound packets");
}

void script_parse(struct script *script, const char *path, const char *text)
{
	struct parser p = {.script = script};
	lexer_init(&p.l, path, text);
	script->path = path;
	parse_options(&p);
	while (p.l.token.kind != TOKEN_END) {
		if (script->event_count == EVENTS_MAX)
			script_fail(path, p.l.token.line, "the script is too long");
		struct event *e = &script->events[script->event_count++];
		parse_event(&p, e);
	}
	if (script->event_count == 0 || script->events[0].usecs != 0)
		script_fail(path, 1, "first event should be at time 0");
}
