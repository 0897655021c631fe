#include "control/command/help.h"

#include <string.h>

#include "control/command/options.h"

#define TEXT_COLUMN 8
#define LAST_COLUMN 100

static const struct {
	enum subcommand command;
	const char *usage, *summary, *details;
} texts[] = {
	{COMMAND_PUBLISH, "harewire publish [options]",
	 "Publish one message, the lines of a file, or generated messages, and wait for the broker's confirms.",
	 "One message comes from --body, --file or standard input; --lines makes each line one; --count and --size "
	 "generate "
	 "them."},
	{COMMAND_FEED, "harewire feed FILE|synthetic [options]",
	 "Publish a market-data feed: each of its messages on its own, as it is.",
	 "FILE is a pcap or pcapng capture, gzip'ed or not, of IEX-TP carrying DEEP 1.0 or TOPS 1.5/1.6; - is standard "
	 "input. "
	 "synthetic is a generator of DEEP messages, without end unless --count or --duration says so."},
	{COMMAND_CONSUME, "harewire consume --queue NAME [options]",
	 "Consume a queue over an ordinary socket, and check what arrives.",
	 "It runs until --count, --duration, --idle-timeout or "
	 "an interrupt ends it."},
	{COMMAND_STAT, "harewire stat [SOCKET|PID] [options]",
	 "Show what a running publish or feed does: its workers, connections and publishers.",
	 "Without SOCKET or PID it asks the one that runs here; if there are several it lists them."},
	{COMMAND_CAPTURE, "harewire capture start FILE|stop [SOCKET|PID] [options]",
	 "Capture the packets of a running publish or feed, which bypass the kernel and tcpdump, into a pcapng file.",
	 "start: FILE is written by the asked process, until stop or its end; an older file is replaced."},
	{COMMAND_TRACE, "harewire trace [SOCKET|PID] [options]",
	 "Show what has happened to a connection of a running publish or feed lately: losses, retransmissions, "
	 "timeouts, "
	 "and why.",
	 "af_xdp and dpdk only, where TCP is ours. Its last 4095 events are kept; what goes as it should leaves none."},
};

#define TEXT_COUNT (sizeof texts / sizeof texts[0])

/* Words of `text`, wrapped, each line indented. */
static void print_wrapped(FILE *out, const char *text, int indent)
{
	int column = 0;

	while (*text) {
		int len = (int)strcspn(text, " ");
		if (column && column + 1 + len > LAST_COLUMN) {
			fputc('\n', out);
			column = 0;
		}
		column += fprintf(out, "%*s%.*s", column ? 1 : indent, "", len, text);
		text += len;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

static void print_option(FILE *out, const struct option *o)
{
	fputs("  ", out);
	if (o->letter)
		fprintf(out, "-%c, ", o->letter);
	fprintf(out, "--%s%s%s\n", o->name, o->value ? " " : "", o->value ? o->value : "");
	print_wrapped(out, o->help, TEXT_COLUMN);
}

void help_print_subcommand(FILE *out, enum subcommand command)
{
	for (size_t i = 0; i < TEXT_COUNT; i++) {
		if (texts[i].command != command)
			continue;
		fprintf(out, "usage: %s\n\n", texts[i].usage);
		print_wrapped(out, texts[i].summary, 0);
		print_wrapped(out, texts[i].details, 0);
	}
	fputs("\noptions:\n", out);
	for (uint32_t i = 0; i < option_count; i++)
		if (options[i].commands & command && !(options[i].flags & OPTION_CONFIG_ONLY))
			print_option(out, &options[i]);
	fputs("\nExit status: 0 all good, 1 something failed or is missing, 2 wrong usage.\n", out);
}

void help_print(FILE *out)
{
	fputs("usage: harewire publish|feed|consume|stat|capture|trace|help|version [options]\n\n", out);
	for (size_t i = 0; i < TEXT_COUNT; i++)
		fprintf(out, "  %s\n        %s\n", texts[i].usage, texts[i].summary);
	fputs("  harewire help [SUBCOMMAND]\n        This text, or a subcommand's.\n"
	      "  harewire version\n        The version.\n",
	      out);
}
