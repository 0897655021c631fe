/* The schema of the config file, and the data it loads into. */
#ifndef HAREWIRE_COMMAND_CONFIG_SCHEMA_H
#define HAREWIRE_COMMAND_CONFIG_SCHEMA_H

#include <cyaml/cyaml.h>
#include <stdbool.h>
#include <stdint.h>

/* What one key of a section held: a scalar's text, or a list's. Read by option_set, like a flag's. */
struct config_value {
	char *text;
	char **items;
	uint32_t item_count;
};

struct config_exchange {
	char *name, *type;
	int durable, auto_delete, internal, passive;
	char **arguments;
	uint32_t arguments_count;
};

struct config_queue {
	char *name;
	int durable, auto_delete, exclusive, passive;
	char **arguments;
	uint32_t arguments_count;
};

struct config_binding {
	char *exchange, *queue, *to_exchange, *routing_key;
	char **arguments;
	uint32_t arguments_count;
};

struct config_topology {
	struct config_exchange *exchanges;
	uint32_t exchanges_count;
	struct config_queue *queues;
	uint32_t queues_count;
	struct config_binding *bindings;
	uint32_t bindings_count;
};

/* The keys of an entry of `workers`: each is read like the option that gives its default. */
enum config_worker_key {
	WORKER_CORE,
	WORKER_DRIVER,
	WORKER_INTERFACE,
	WORKER_DEVICE,
	WORKER_QUEUE,
	WORKER_ADDRESS,
	WORKER_GATEWAY,
	WORKER_VLAN,
	WORKER_MTU,
	WORKER_KEYS,
};

struct config_worker {
	char *texts[WORKER_KEYS]; /* NULL: left out */
};

enum config_section { CONFIG_BROKER, CONFIG_DRIVER, CONFIG_PUBLISH, CONFIG_FEED, CONFIG_CONSUME, CONFIG_SECTIONS };

struct config_file {
	struct config_value *sections[CONFIG_SECTIONS]; /* each: one value per entry of the table of options; or NULL */
	struct config_topology *topology;
	struct config_worker *workers;
	uint32_t workers_count;
};

struct config_schema {
	cyaml_schema_value_t top;
	cyaml_schema_field_t top_fields[CONFIG_SECTIONS + 3];
	cyaml_schema_field_t *section_fields[CONFIG_SECTIONS];
};

const char *config_section_name(enum config_section section);
/* Whether the option number `index` of the table belongs to the section. */
bool config_section_has(enum config_section section, uint32_t index);

const char *config_worker_key_name(enum config_worker_key key);

/* 0 or HW_ERR_NOMEM. */
int config_schema_init(struct config_schema *schema);
void config_schema_fini(struct config_schema *schema);

#endif
