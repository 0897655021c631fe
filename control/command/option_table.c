#include "control/command/option_check.h"
#include "control/command/options.h"

#define ALL          (COMMAND_PUBLISH | COMMAND_FEED | COMMAND_CONSUME)
#define PUBLISHING   (COMMAND_PUBLISH | COMMAND_FEED)
#define ASKING       (COMMAND_STAT | COMMAND_CAPTURE | COMMAND_TRACE)
#define AT(member)   offsetof(struct settings, member)
#define YEAR_SECONDS 31536000u
#define DAY_SECONDS  86400u
#define NS_PER_MS    1000000u

static const char *const drivers[] = {
	[DRIVER_AUTO] = "auto", [DRIVER_AF_XDP] = "af_xdp", [DRIVER_DPDK] = "dpdk", [DRIVER_KERNEL] = "kernel", NULL};
const char *driver_name(enum driver_choice driver)
{
	return drivers[driver];
}

static const char *const idles[] = {[IDLE_BACKOFF] = "backoff", [IDLE_SPIN] = "spin", NULL};
static const char *const uses[] = {
	[HAREWIRE_USE_AUTO] = "auto", [HAREWIRE_USE_ON] = "on", [HAREWIRE_USE_OFF] = "off", NULL};
static const char *const orders[] = {
	[HAREWIRE_HOSTS_ORDERED] = "ordered", [HAREWIRE_HOSTS_SHUFFLED] = "shuffled", NULL};
static const char *const deliveries[] = {
	[HAREWIRE_AT_LEAST_ONCE] = "at-least-once", [HAREWIRE_AT_MOST_ONCE] = "at-most-once", NULL};
static const char *const policies[] = {
	[HAREWIRE_BUFFER] = "buffer", [HAREWIRE_REFUSE] = "refuse", [HAREWIRE_DROP_NEWEST] = "drop-newest", NULL};
const char *policy_name(enum harewire_policy policy)
{
	return policies[policy];
}

static const char *const congestions[] = {
	[HAREWIRE_CUBIC] = "cubic", [HAREWIRE_RENO] = "reno", [HAREWIRE_NO_CONGESTION_CONTROL] = "none", NULL};
static const char *const formats[] = {[FORMAT_LINES] = "lines", [FORMAT_LEN32] = "len32", NULL};

/* clang-format off */
const struct option options[] = {
	/* the broker */
	{"url", 'U', OPTION_TEXT, SECTION_BROKER, ALL, 0, AT(url), "URL",
	 .help = "amqp://user:password@host:port/vhost; default: $AMQP_URL, else amqp://localhost. A password in it is hidden from "
	 "ps at once, but better kept in $AMQP_URL, --url-file or a config file"},
	{"url-file", 0, OPTION_TEXT, SECTION_BROKER, ALL, 0, AT(url_file), "FILE", .help = "read the URL from the first line of FILE"},
	{"user", 0, OPTION_TEXT, SECTION_BROKER, ALL, 0, AT(user), "NAME", .help = "log in as NAME instead of the URL's user"},
	{"password", 0, OPTION_TEXT, SECTION_BROKER, ALL, OPTION_CONFIG_ONLY, AT(password), "PASSWORD",
	 .help = "the password; only in a config file of mode 0600. $HAREWIRE_PASSWORD replaces it"},
	{"vhost", 0, OPTION_TEXT, SECTION_BROKER, ALL, 0, AT(vhost), "NAME", .help = "virtual host instead of the URL's"},
	{"connection-name", 0, OPTION_TEXT, SECTION_BROKER, ALL, 0, AT(connection_name), "NAME",
	 .help = "the connection's name in the broker's listings; default: harewire and the subcommand"},
	{"heartbeat", 0, OPTION_NUMBER, SECTION_BROKER, ALL, 0, AT(heartbeat_s), "SECONDS",
	 .help = "heartbeat asked for; 0: none. Default 10", .min = 0, .max = 65535},
	{"frame-max", 0, OPTION_NUMBER, SECTION_BROKER, ALL, 0, AT(frame_max), "OCTETS",
	 .help = "largest frame asked for, 4096 to 1048576. Default 131072", .min = 4096, .max = 1048576},
	{"connect-timeout", 0, OPTION_SECONDS, SECTION_BROKER, ALL, 0, AT(connect_timeout_ns), "SECONDS",
	 .help = "for connecting, logging in and declaring together. Default 10", .min = 1, .max = YEAR_SECONDS},
	{"password-file", 0, OPTION_TEXT, SECTION_BROKER, ALL, 0, AT(password_file), "FILE",
	 .help = "the password is the first line of FILE, which nobody but its owner may have access to (mode 0600); it is read anew for every connection"},
	{"password-credential", 0, OPTION_TEXT, SECTION_BROKER, ALL, 0, AT(password_credential), "NAME",
	 .help = "the same with the file NAME in $CREDENTIALS_DIRECTORY, where systemd puts what a unit's LoadCredential= names", .check = check_credential},
	/* when the connection is lost, or takes nothing */
	{"host", 0, OPTION_LIST, SECTION_BROKER, PUBLISHING, 0, AT(hosts), "NAME[:PORT]",
	 .help = "another host of the same brokers, to be tried when the URL's does not answer or is lost; its port, else the URL's. "
	 "May be repeated, up to 15 times", .key = "hosts", .check = check_host},
	{"host-order", 0, OPTION_CHOICE, SECTION_BROKER, PUBLISHING, 0, AT(host_order), "ordered|shuffled",
	 .help = "ordered (default): the URL's host, then --host as given; shuffled: in an order drawn at the start, so that many publishers spread", .choices = orders},
	{"reconnect-min", 0, OPTION_SECONDS, SECTION_BROKER, PUBLISHING, 0, AT(reconnect_min_ns), "SECONDS",
	 .help = "first pause between attempts to connect again; each further one is twice as long, and shortened at random by up to a half. Default 0.01",
	 .min = NS_PER_MS, .max = 3600},
	{"reconnect-max", 0, OPTION_SECONDS, SECTION_BROKER, PUBLISHING, 0, AT(reconnect_max_ns), "SECONDS",
	 .help = "longest pause. Default 0.05", .min = NS_PER_MS, .max = 3600},
	{"reconnect-timeout", 0, OPTION_SECONDS, SECTION_BROKER, PUBLISHING, 0, AT(reconnect_timeout_ns), "SECONDS",
	 .help = "fail after so long without a connection that lasts; 0 (default): never give up", .min = 0, .max = YEAR_SECONDS},
	{"delivery", 0, OPTION_CHOICE, SECTION_BROKER, PUBLISHING, 0, AT(delivery), "at-least-once|at-most-once",
	 .help = "what becomes of messages whose connection is lost before their confirm: sent again (default), or if any of it was sent counted as lost", .choices = deliveries},
	{"policy", 0, OPTION_CHOICE, SECTION_BROKER, PUBLISHING, 0, AT(policy), "buffer|refuse|drop-newest",
	 .help = "while nothing flows: keep messages in the log and wait when it is full (buffer, default); take none (refuse); "
	 "keep them and drop the new one when it is full (drop-newest)", .choices = policies},
	{"confirm-timeout", 0, OPTION_SECONDS, SECTION_BROKER, PUBLISHING, 0, AT(confirm_timeout_ns), "SECONDS",
	 .help = "connect again, to the next host, after so long without a confirm while messages wait for one; 0: never. Default 30", .min = 0, .max = DAY_SECONDS},
	{"blocked-timeout", 0, OPTION_SECONDS, SECTION_BROKER, PUBLISHING, 0, AT(blocked_timeout_ns), "SECONDS",
	 .help = "connect again, to the next host, after so long an alarm or closed window of the broker; 0 (default): never", .min = 0, .max = DAY_SECONDS},
	/* the driver */
	{"driver", 'd', OPTION_CHOICE, SECTION_DRIVER, PUBLISHING, 0, AT(driver), "NAME",
	 .help = "auto (default: af_xdp where it works, else kernel), af_xdp, dpdk or kernel", .choices = drivers},
	{"interface", 'i', OPTION_TEXT, SECTION_DRIVER, PUBLISHING, 0, AT(interface), "NAME",
	 .help = "network interface for af_xdp; default: $HAREWIRE_INTERFACE, else that of the route to the broker"},
	{"device", 0, OPTION_TEXT, SECTION_DRIVER, PUBLISHING, 0, AT(device), "DEVICE",
	 .help = "dpdk: the device to take, a PCI address such as 0000:3b:00.0 or a virtual device such as net_tap0,iface=hw0"},
	{"address", 0, OPTION_TEXT, SECTION_DRIVER, PUBLISHING, 0, AT(address), "IP/PREFIX",
	 .help = "dpdk: take the device from the kernel and give it this IPv4 address, such as 10.1.2.3/24; nobody else may have it. "
	 "Without: share the device and its address with the kernel, where the device can"},
	{"gateway", 0, OPTION_TEXT, SECTION_DRIVER, PUBLISHING, 0, AT(gateway), "IP", .help = "dpdk: the way to brokers outside of that network"},
	{"vlan", 0, OPTION_NUMBER, SECTION_DRIVER, PUBLISHING, 0, AT(vlan), "N", .help = "dpdk: VLAN id; default: untagged", .min = 1, .max = 4094},
	{"mtu", 0, OPTION_NUMBER, SECTION_DRIVER, PUBLISHING, 0, AT(mtu), "OCTETS",
	 .help = "dpdk: the device's MTU; default: as it is", .min = 576, .max = 9600},
	{"eal", 0, OPTION_TEXT, SECTION_DRIVER, PUBLISHING, 0, AT(eal), "ARGUMENTS",
	 .help = "dpdk: more arguments for DPDK's EAL, separated by spaces; --eal=--no-huge does without hugepages"},
	{"checksum-offload", 0, OPTION_CHOICE, SECTION_DRIVER, PUBLISHING, 0, AT(checksum_offload), "auto|on|off",
	 .help = "dpdk: let the device compute checksums; auto (default): where that does not cost its fast transmit path", .choices = uses},
	{"tso", 0, OPTION_CHOICE, SECTION_DRIVER, PUBLISHING, 0, AT(tso), "auto|on|off",
	 .help = "dpdk: let the device cut segments; auto (default): where that does not cost its fast transmit path", .choices = uses},
	{"telemetry", 0, OPTION_FLAG, SECTION_DRIVER, PUBLISHING, 0, AT(telemetry), NULL,
	 .help = "dpdk: answer dpdk-telemetry.py with the figures of workers, connections and publishers"},
	{"control", 0, OPTION_TEXT, SECTION_DRIVER, PUBLISHING, 0, AT(control), "PATH|none",
	 .help = "the local socket at which harewire stat, capture and trace are answered. Default: /run/harewire/PID.sock for root, "
	 "$XDG_RUNTIME_DIR/harewire/PID.sock for others"},
	{"trace-dir", 0, OPTION_TEXT, SECTION_DRIVER, PUBLISHING, 0, AT(trace_dir), "DIRECTORY",
	 .help = "af_xdp and dpdk: keep TCP's trace there when a connection is lost or a retransmission timeout fires, a file each, at most 64"},
	{"congestion", 0, OPTION_CHOICE, SECTION_DRIVER, PUBLISHING, 0, AT(congestion), "cubic|reno|none",
	 .help = "af_xdp and dpdk: who decides how much may be on its way: cubic (default), reno, or nobody, for a LAN provisioned for the feed", .choices = congestions},
	{"congestion-window", 0, OPTION_BYTES, SECTION_DRIVER, PUBLISHING, 0, AT(congestion_window), "N[K|M]",
	 .help = "af_xdp and dpdk: the most that the congestion window grows to, 4K to 1G; with --congestion none what it is. Default 1G", .min = 4096, .max = 1u << 30},
	{"ecn", 0, OPTION_FLAG, SECTION_DRIVER, PUBLISHING, 0, AT(ecn), NULL,
	 .help = "af_xdp and dpdk: ask the broker's TCP for explicit congestion notification"},
	{"keepalive", 0, OPTION_SECONDS, SECTION_DRIVER, PUBLISHING, 0, AT(keepalive_ns), "SECONDS",
	 .help = "af_xdp and dpdk: probe a broker's TCP that has said nothing for so long; five unanswered, a second apart, end the connection. 0 (default): never; heartbeats do it better", .min = 0, .max = 86400},
	{"restart-after-idle", 0, OPTION_FLAG, SECTION_DRIVER, PUBLISHING, 0, AT(restart_after_idle), NULL,
	 .help = "af_xdp and dpdk: after a pause of a retransmission timeout start from the first window again"},
	{"nic-queue", 0, OPTION_NUMBER, SECTION_DRIVER, PUBLISHING, 0, AT(nic_queue), "N",
	 .help = "NIC queue to serve; default: the driver's choice", .min = 0, .max = 4095},
	{"cpu", 0, OPTION_NUMBER, SECTION_DRIVER, PUBLISHING, 0, AT(cpu), "N", .help = "pin the worker's thread to CPU N; of several workers: those that name no core", .min = 0, .max = 4095},
	{"publishers", 0, OPTION_NUMBER, SECTION_DRIVER, PUBLISHING, 0, AT(publishers), "N",
	 .help = "connections, 1 to 256, spread over the workers in turn; each has a log of its own. publish: messages go to them in turn. "
	 "feed: all messages of a symbol go to the same. Default: one for each worker", .min = 1, .max = PUBLISHERS_MAX},
	{"inline", 0, OPTION_FLAG, SECTION_DRIVER, PUBLISHING, 0, AT(inline_worker), NULL,
	 .help = "run the worker on the publishing thread instead of one of its own"},
	{"idle", 0, OPTION_CHOICE, SECTION_DRIVER, PUBLISHING, 0, AT(idle), "HOW",
	 .help = "backoff (default: sleep up to 50 us when there is nothing to do) or spin (a core of its own)", .choices = idles},
	{"log-bytes", 0, OPTION_BYTES, SECTION_DRIVER, PUBLISHING, 0, AT(log_bytes), "N[K|M|G]",
	 .help = "each publisher's memory for messages that are not confirmed yet, 64K to 64G. Default 16M", .min = 65536, .max = 64ull << 30},
	{"max-messages", 0, OPTION_NUMBER, SECTION_DRIVER, PUBLISHING, 0, AT(max_messages), "N",
	 .help = "most messages not confirmed yet that each publisher keeps memory for. Default 65536", .min = 16, .max = 1u << 30},
	/* where to */
	{"exchange", 'e', OPTION_TEXT, SECTION_COMMAND, PUBLISHING, 0, AT(exchange), "NAME",
	 .help = "publish: the exchange, which must exist or be declared; default: the default exchange, which routes by queue name. "
	 "feed: the exchange, declared as a durable topic exchange unless --declare-exchange says otherwise. Default md"},
	{"routing-key", 'k', OPTION_TEXT, SECTION_COMMAND, COMMAND_PUBLISH, 0, AT(routing_key), "KEY", .help = "routing key"},
	{"queue", 'q', OPTION_TEXT, SECTION_COMMAND, ALL, 0, AT(queue), "NAME",
	 .help = "publish: declare this queue and publish to it through the default exchange. feed: declare it and bind it to the "
	 "exchange with '#'. consume: the queue to consume; it must exist, unless --durable, --auto-delete, --arg or "
	 "--declare-queue declare it"},
	{"durable", 0, OPTION_FLAG, SECTION_COMMAND, ALL, 0, AT(durable), NULL, .help = "--queue is declared durable"},
	{"auto-delete", 0, OPTION_FLAG, SECTION_COMMAND, ALL, 0, AT(auto_delete), NULL, .help = "--queue is declared auto-delete"},
	{"arg", 0, OPTION_LIST, SECTION_COMMAND, ALL, 0, AT(queue_arguments), "NAME=VALUE",
	 .help = "an argument of --queue, such as x-queue-type=quorum; may be repeated", .check = check_field},
	{"passive", 0, OPTION_FLAG, SECTION_COMMAND, PUBLISHING, 0, AT(passive), NULL,
	 .help = "only check that --queue and the exchange exist, whatever their properties"},
	{"no-declare", 0, OPTION_FLAG, SECTION_COMMAND, PUBLISHING, 0, AT(no_declare), NULL,
	 .help = "neither declare nor check --queue and the exchange"},
	{"declare-exchange", 0, OPTION_LIST, SECTION_COMMAND, ALL, 0, AT(declare_exchanges), "NAME:TYPE[:durable]",
	 .help = "declare an exchange; also :auto-delete, :internal, :passive. May be repeated", .check = check_exchange},
	{"declare-queue", 0, OPTION_LIST, SECTION_COMMAND, ALL, 0, AT(declare_queues), "NAME[:durable]",
	 .help = "declare a queue; also :auto-delete, :exclusive, :passive. May be repeated", .check = check_queue},
	{"bind", 0, OPTION_LIST, SECTION_COMMAND, ALL, 0, AT(bindings), "EXCHANGE:QUEUE[:KEY]",
	 .help = "bind a queue to an exchange. May be repeated", .check = check_binding},
	/* messages */
	{"body", 'b', OPTION_TEXT, SECTION_COMMAND, COMMAND_PUBLISH, 0, AT(body), "TEXT", .help = "publish TEXT; default: standard input"},
	{"file", 'f', OPTION_TEXT, SECTION_COMMAND, COMMAND_PUBLISH, 0, AT(file), "FILE", .help = "publish the contents of FILE"},
	{"lines", 'l', OPTION_FLAG, SECTION_COMMAND, COMMAND_PUBLISH, 0, AT(lines), NULL,
	 .help = "one message per line of standard input or --file"},
	{"size", 's', OPTION_BYTES, SECTION_COMMAND, COMMAND_PUBLISH, 0, AT(size), "N[K|M]",
	 .help = "generate bodies of N octets that begin with the message's number. Default 256 with --count", .min = 0, .max = 1u << 30},
	{"count", 'n', OPTION_NUMBER, SECTION_COMMAND, COMMAND_CONSUME, 0, AT(count), "N",
	 .help = "stop after N messages; 0: at once", .min = 0, .max = 1ull << 48},
	{"count", 'n', OPTION_NUMBER, SECTION_COMMAND, PUBLISHING, 0, AT(count), "N",
	 .help = "stop after N messages. publish: generate them, or repeat --body or --file N times; without N, --rate and --duration generate until a signal or the time is over", .min = 1, .max = 1ull << 48},
	{"slots", 0, OPTION_TEXT, SECTION_COMMAND, PUBLISHING, 0, AT(slots), "LIST",
	 .help = "what each message carries besides its body: none, or some of sequence, time, duplicate, message-id, timestamp, "
	 "separated by commas. Default sequence,time,duplicate for feed and for generated messages, else none", .check = check_slots},
	{"content-type", 0, OPTION_TEXT, SECTION_COMMAND, PUBLISHING, 0, AT(content_type), "TYPE", .help = "property content-type"},
	{"persistent", 'p', OPTION_FLAG, SECTION_COMMAND, PUBLISHING, 0, AT(persistent), NULL, .help = "delivery mode 2: survives a broker's restart"},
	{"mandatory", 'm', OPTION_FLAG, SECTION_COMMAND, PUBLISHING, 0, AT(mandatory), NULL,
	 .help = "messages that reach no queue come back and count as returned; adds the sequence slot"},
	{"priority", 0, OPTION_NUMBER, SECTION_COMMAND, PUBLISHING, 0, AT(priority), "N", .help = "property priority, 0 to 255", .min = 0, .max = 255},
	{"expiration", 0, OPTION_TEXT, SECTION_COMMAND, PUBLISHING, 0, AT(expiration), "MS", .help = "property expiration, in milliseconds", .check = check_milliseconds},
	{"property", 'P', OPTION_LIST, SECTION_COMMAND, PUBLISHING, 0, AT(properties), "NAME=VALUE",
	 .help = "another property: content-encoding, correlation-id, reply-to, type, user-id or app-id; may be repeated", .check = check_property},
	{"header", 'H', OPTION_LIST, SECTION_COMMAND, PUBLISHING, 0, AT(headers), "NAME=VALUE",
	 .help = "an entry of the headers table; may be repeated", .check = check_field},
	/* feed */
	{"pattern", 0, OPTION_TEXT, SECTION_COMMAND, COMMAND_FEED, 0, AT(pattern), "PATTERN",
	 .help = "routing keys, with the fields {feed} {type} {symbol} {channel}; a '.' in a value becomes '/', no value '-'. "
	 "Default md.{feed}.{type}.{symbol}", .check = check_pattern},
	{"symbols", 0, OPTION_NUMBER, SECTION_COMMAND, COMMAND_FEED, 0, AT(symbols), "N",
	 .help = "synthetic: how many symbols. Default 1000", .min = 1, .max = 1000000},
	{"seed", 0, OPTION_NUMBER, SECTION_COMMAND, COMMAND_FEED, 0, AT(seed), "N",
	 .help = "synthetic: the same seed makes the same messages. Default 0", .min = 0, .max = UINT64_MAX - 1},
	{"speed", 0, OPTION_REAL, SECTION_COMMAND, COMMAND_FEED, 0, AT(speed), "X|max",
	 .help = "X times as fast as the feed was captured; max (default): as fast as possible"},
	/* pace */
	{"rate", 'r', OPTION_REAL, SECTION_COMMAND, PUBLISHING, 0, AT(rate), "N|max",
	 .help = "messages per second, by an absolute schedule; max (default): as fast as possible"},
	{"confirm", 'c', OPTION_NUMBER, SECTION_COMMAND, PUBLISHING, 0, AT(confirm), "N",
	 .help = "at most N messages without their confirm at any time, of all publishers together; default: what the logs hold", .min = 1, .max = 1u << 30},
	{"duration", 0, OPTION_SECONDS, SECTION_COMMAND, ALL, 0, AT(duration_ns), "SECONDS", .help = "stop after so long", .min = 1, .max = YEAR_SECONDS},
	{"timeout", 0, OPTION_SECONDS, SECTION_COMMAND, PUBLISHING, 0, AT(timeout_ns), "SECONDS",
	 .help = "at the end, wait at most so long for outstanding confirms. Default 30", .min = 0, .max = YEAR_SECONDS},
	/* consume */
	{"prefetch", 0, OPTION_NUMBER, SECTION_COMMAND, COMMAND_CONSUME, 0, AT(prefetch), "N",
	 .help = "messages the broker may send ahead of their acks; 0: any number. Default 1000", .min = 0, .max = 65535},
	{"auto-ack", 0, OPTION_FLAG, SECTION_COMMAND, COMMAND_CONSUME, 0, AT(auto_ack), NULL, .help = "let the broker forget messages once sent"},
	{"verify", 0, OPTION_FLAG, SECTION_COMMAND, COMMAND_CONSUME, 0, AT(verify), NULL,
	 .help = "fail (exit 1) on gaps, duplicates or disorder of the sequence slot, and on fewer messages than --count, or none at all"},
	{"from-first", 0, OPTION_FLAG, SECTION_COMMAND, COMMAND_CONSUME, 0, AT(from_first), NULL,
	 .help = "expect each publisher's numbers from the first one seen, not from 1"},
	{"idle-timeout", 0, OPTION_SECONDS, SECTION_COMMAND, COMMAND_CONSUME, 0, AT(idle_timeout_ns), "SECONDS",
	 .help = "stop after so long without a message; default: never", .min = 0, .max = YEAR_SECONDS},
	{"output", 'o', OPTION_TEXT, SECTION_COMMAND, COMMAND_CONSUME, 0, AT(output), "FILE", .help = "write the bodies to FILE; -: standard output"},
	{"format", 0, OPTION_CHOICE, SECTION_COMMAND, COMMAND_CONSUME, 0, AT(format), "HOW",
	 .help = "of --output: lines (default: a newline after each body) or len32 (a 32-bit big-endian length before each)",
	 .choices = formats},
	/* the command itself */
	{"config", 0, OPTION_TEXT, SECTION_NONE, ALL, 0, AT(config), "FILE", .help = "read a YAML file first; flags override it"},
	{"json", 'j', OPTION_FLAG, SECTION_COMMAND, ALL, 0, AT(json), NULL, .help = "end with one JSON object on standard output"},
	{"progress", 0, OPTION_FLAG, SECTION_COMMAND, ALL, 0, AT(progress), NULL,
	 .help = "say every second how it goes, on standard error; default on a terminal"},
	{"quiet", 0, OPTION_FLAG, SECTION_COMMAND, ALL, 0, AT(quiet), NULL, .help = "neither progress nor summary; errors only"},
	{"verbose", 'v', OPTION_FLAG, SECTION_COMMAND, PUBLISHING, 0, AT(verbose), NULL, .help = "say what the library does, on standard error"},
	/* asking a running engine */
	{"interval", 0, OPTION_SECONDS, SECTION_NONE, COMMAND_STAT, 0, AT(interval_ns), "SECONDS", .help = "ask so often. Default 1", .min = 1, .max = YEAR_SECONDS},
	{"once", '1', OPTION_FLAG, SECTION_NONE, COMMAND_STAT, 0, AT(once), NULL, .help = "ask once, and end"},
	{"json", 'j', OPTION_FLAG, SECTION_NONE, ASKING, 0, AT(json), NULL, .help = "print each answer as a line of JSON"},
	{"snaplen", 's', OPTION_NUMBER, SECTION_NONE, COMMAND_CAPTURE, 0, AT(snap_bytes), "OCTETS",
	 .help = "start: capture at most so much of each packet; 0 (default): all of it", .min = 0, .max = 262144},
	{"connection", 'c', OPTION_NUMBER, SECTION_NONE, COMMAND_TRACE, 0, AT(connection), "N",
	 .help = "its number in harewire stat; default: the only one", .min = 1, .max = INT64_MAX},
	{"help", 'h', OPTION_FLAG, SECTION_NONE, ALL | ASKING, 0, AT(help), NULL, .help = "this text"},
};
/* clang-format on */

const uint32_t option_count = sizeof options / sizeof options[0];
