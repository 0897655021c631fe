#include "control/command/config_place.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

static unsigned line_of(yaml_mark_t mark)
{
	return (unsigned)mark.line + 1;
}

static const yaml_node_t *find_key(yaml_document_t *document, const yaml_node_t *mapping, const char *name, size_t len,
				   unsigned *line)
{
	const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;

	for (; pair < mapping->data.mapping.pairs.top; pair++) {
		const yaml_node_t *key = yaml_document_get_node(document, pair->key);
		if (key->type != YAML_SCALAR_NODE || key->data.scalar.length != len ||
		    memcmp(key->data.scalar.value, name, len) != 0)
			continue;
		*line = line_of(key->start_mark);
		return yaml_document_get_node(document, pair->value);
	}
	return NULL;
}

static const yaml_node_t *find_entry(yaml_document_t *document, const yaml_node_t *list, unsigned long index,
				     unsigned *line)
{
	const yaml_node_item_t *items = list->data.sequence.items.start;

	if (index >= (unsigned long)(list->data.sequence.items.top - items))
		return NULL;
	const yaml_node_t *entry = yaml_document_get_node(document, items[index]);
	*line = line_of(entry->start_mark);
	return entry;
}

static unsigned find_path(yaml_document_t *document, const char *path)
{
	const yaml_node_t *node = yaml_document_get_root_node(document);
	unsigned line = 1;

	while (node && *path) {
		size_t len = strcspn(path, "/");
		if (node->type == YAML_MAPPING_NODE)
			node = find_key(document, node, path, len, &line);
		else if (node->type == YAML_SEQUENCE_NODE)
			node = find_entry(document, node, strtoul(path, NULL, 10), &line);
		else
			node = NULL;
		path += len + (path[len] == '/');
	}
	return line;
}

unsigned config_place_line(const char *text, size_t len, const char *path)
{
	yaml_parser_t parser;
	yaml_document_t document;
	unsigned line = 1;

	if (!yaml_parser_initialize(&parser))
		return line;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	if (yaml_parser_load(&parser, &document)) {
		line = find_path(&document, path);
		yaml_document_delete(&document);
	}
	yaml_parser_delete(&parser);
	return line;
}

/* What does not parse begins a document, too. */
static unsigned read_second(yaml_parser_t *parser)
{
	yaml_document_t document;

	if (!yaml_parser_load(parser, &document))
		return line_of(parser->problem_mark);
	unsigned line = yaml_document_get_root_node(&document) ? line_of(document.start_mark) : 0;
	yaml_document_delete(&document);
	return line;
}

unsigned config_second_document(const char *text, size_t len)
{
	yaml_parser_t parser;
	yaml_document_t first;
	unsigned line = 0;

	if (!yaml_parser_initialize(&parser))
		return 0;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	if (yaml_parser_load(&parser, &first)) {
		if (yaml_document_get_root_node(&first))
			line = read_second(&parser);
		yaml_document_delete(&first);
	}
	yaml_parser_delete(&parser);
	return line;
}
