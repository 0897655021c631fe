#include "control/command/config_schema.h"

#include <stdlib.h>
#include <string.h>

#include "control/command/options.h"
#include "dataplane/base/error.h"

#define ABSENT_ALLOWED (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)

static const cyaml_strval_t booleans[] = {{"false", 0}, {"true", 1}, {"no", 0}, {"yes", 1}};

static const cyaml_schema_value_t text_entry = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED)};

#define TEXT_FIELD(key, flags, type, member)                                                                           \
	CYAML_FIELD_STRING_PTR(key, (flags) | CYAML_FLAG_POINTER, type, member, 0, CYAML_UNLIMITED)
#define BOOL_FIELD(key, type, member)                                                                                  \
	CYAML_FIELD_ENUM(key, CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, type, member, booleans,                         \
			 sizeof booleans / sizeof booleans[0])
#define LIST_FIELD(key, type, member, entry)                                                                           \
	CYAML_FIELD_SEQUENCE(key, ABSENT_ALLOWED, type, member, entry, 0, CYAML_UNLIMITED)

static const cyaml_schema_field_t exchange_fields[] = {
	TEXT_FIELD("name", 0, struct config_exchange, name),
	TEXT_FIELD("type", CYAML_FLAG_OPTIONAL, struct config_exchange, type),
	BOOL_FIELD("durable", struct config_exchange, durable),
	BOOL_FIELD("auto-delete", struct config_exchange, auto_delete),
	BOOL_FIELD("internal", struct config_exchange, internal),
	BOOL_FIELD("passive", struct config_exchange, passive),
	LIST_FIELD("arguments", struct config_exchange, arguments, &text_entry),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t queue_fields[] = {
	TEXT_FIELD("name", 0, struct config_queue, name),
	BOOL_FIELD("durable", struct config_queue, durable),
	BOOL_FIELD("auto-delete", struct config_queue, auto_delete),
	BOOL_FIELD("exclusive", struct config_queue, exclusive),
	BOOL_FIELD("passive", struct config_queue, passive),
	LIST_FIELD("arguments", struct config_queue, arguments, &text_entry),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t binding_fields[] = {
	TEXT_FIELD("exchange", 0, struct config_binding, exchange),
	TEXT_FIELD("queue", CYAML_FLAG_OPTIONAL, struct config_binding, queue),
	TEXT_FIELD("to-exchange", CYAML_FLAG_OPTIONAL, struct config_binding, to_exchange),
	TEXT_FIELD("routing-key", CYAML_FLAG_OPTIONAL, struct config_binding, routing_key),
	LIST_FIELD("arguments", struct config_binding, arguments, &text_entry),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t exchange_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_exchange, exchange_fields)};
static const cyaml_schema_value_t queue_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_queue, queue_fields)};
static const cyaml_schema_value_t binding_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_binding, binding_fields)};

static const cyaml_schema_field_t topology_fields[] = {
	LIST_FIELD("exchanges", struct config_topology, exchanges, &exchange_entry),
	LIST_FIELD("queues", struct config_topology, queues, &queue_entry),
	LIST_FIELD("bindings", struct config_topology, bindings, &binding_entry),
	CYAML_FIELD_END,
};

#define WORKER_FIELD(key, index) TEXT_FIELD(key, CYAML_FLAG_OPTIONAL, struct config_worker, texts[index])

static const cyaml_schema_field_t worker_fields[] = {
	WORKER_FIELD("core", WORKER_CORE),
	WORKER_FIELD("driver", WORKER_DRIVER),
	WORKER_FIELD("interface", WORKER_INTERFACE),
	WORKER_FIELD("device", WORKER_DEVICE),
	WORKER_FIELD("queue", WORKER_QUEUE),
	WORKER_FIELD("address", WORKER_ADDRESS),
	WORKER_FIELD("gateway", WORKER_GATEWAY),
	WORKER_FIELD("vlan", WORKER_VLAN),
	WORKER_FIELD("mtu", WORKER_MTU),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t worker_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_worker, worker_fields)};

static const cyaml_schema_field_t workers_field =
	CYAML_FIELD_SEQUENCE("workers", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config_file, workers,
			     &worker_entry, 1, CYAML_UNLIMITED);

static const struct {
	const char *name;
	enum option_section section;
	unsigned commands;
} sections[CONFIG_SECTIONS] = {
	[CONFIG_BROKER] = {"broker", SECTION_BROKER, ~0u},
	[CONFIG_DRIVER] = {"driver", SECTION_DRIVER, ~0u},
	[CONFIG_PUBLISH] = {"publish", SECTION_COMMAND, COMMAND_PUBLISH},
	[CONFIG_FEED] = {"feed", SECTION_COMMAND, COMMAND_FEED},
	[CONFIG_CONSUME] = {"consume", SECTION_COMMAND, COMMAND_CONSUME},
};

const char *config_section_name(enum config_section section)
{
	return sections[section].name;
}

const char *config_worker_key_name(enum config_worker_key key)
{
	return worker_fields[key].key; /* in the order of the enum */
}

bool config_section_has(enum config_section section, uint32_t index)
{
	return options[index].section == sections[section].section &&
	       options[index].commands & sections[section].commands;
}

static cyaml_schema_field_t option_field(uint32_t index)
{
	cyaml_schema_field_t f = {.key = option_key(&options[index])};
	uint32_t at = index * (uint32_t)sizeof(struct config_value);

	f.value.flags = ABSENT_ALLOWED;
	if (options[index].kind == OPTION_LIST) {
		f.value.type = CYAML_SEQUENCE;
		f.value.data_size = sizeof(char *);
		f.value.sequence.entry = &text_entry;
		f.value.sequence.max = CYAML_UNLIMITED;
		f.data_offset = at + offsetof(struct config_value, items);
		f.count_offset = at + offsetof(struct config_value, item_count);
		f.count_size = sizeof(uint32_t);
	} else {
		f.value.type = CYAML_STRING;
		f.value.data_size = sizeof(char);
		f.value.string.max = CYAML_UNLIMITED;
		f.data_offset = at + offsetof(struct config_value, text);
	}
	return f;
}

static cyaml_schema_field_t *make_section(enum config_section section)
{
	cyaml_schema_field_t *fields = calloc(option_count + 1, sizeof *fields); /* a NULL key ends them */
	uint32_t n = 0;

	for (uint32_t i = 0; fields && i < option_count; i++)
		if (config_section_has(section, i))
			fields[n++] = option_field(i);
	return fields;
}

static cyaml_schema_field_t mapping_field(const char *key, const cyaml_schema_field_t *fields, uint32_t bytes,
					  size_t offset)
{
	cyaml_schema_field_t f = {.key = key, .data_offset = (uint32_t)offset};

	f.value.type = CYAML_MAPPING;
	f.value.flags = CYAML_FLAG_POINTER_NULL_STR | CYAML_FLAG_OPTIONAL; /* an empty section is no mistake */
	f.value.data_size = bytes;
	f.value.mapping.fields = fields;
	return f;
}

int config_schema_init(struct config_schema *schema)
{
	memset(schema, 0, sizeof *schema);
	for (uint32_t i = 0; i < CONFIG_SECTIONS; i++) {
		schema->section_fields[i] = make_section(i);
		if (!schema->section_fields[i]) {
			config_schema_fini(schema);
			return HW_ERR_NOMEM;
		}
		schema->top_fields[i] = mapping_field(sections[i].name, schema->section_fields[i],
						      option_count * (uint32_t)sizeof(struct config_value),
						      offsetof(struct config_file, sections) + i * sizeof(void *));
	}
	schema->top_fields[CONFIG_SECTIONS] = mapping_field("topology", topology_fields, sizeof(struct config_topology),
							    offsetof(struct config_file, topology));
	schema->top_fields[CONFIG_SECTIONS + 1] = workers_field;
	schema->top.type = CYAML_MAPPING;
	schema->top.flags = CYAML_FLAG_POINTER;
	schema->top.data_size = sizeof(struct config_file);
	schema->top.mapping.fields = schema->top_fields;
	return 0;
}

void config_schema_fini(struct config_schema *schema)
{
	for (uint32_t i = 0; i < CONFIG_SECTIONS; i++)
		free(schema->section_fields[i]);
}
